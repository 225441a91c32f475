"""AMP: the server, the Deferred client and the client of the standard library."""
