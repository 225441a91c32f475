"""The edges: one kind of I/O each, none of the rules of watchers."""
