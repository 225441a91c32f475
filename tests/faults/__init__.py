"""
Every fault of the catalogue, injected for real, and what the supervisor does then.

One test method has one row; its name begins with the row's id.  The table in
the documentation is made from these tests.
"""
