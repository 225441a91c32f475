"""The plugins that Circus ships, inside the supervisor: they hear events, and give commands in their own names."""
