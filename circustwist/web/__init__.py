"""The console: a stack in a browser."""
