"""The command `journey`: what a Journey can do, from a shell.

Needs the extra `cli`. It looks and writes by way of the client, and needs no code of the
application wherever the definition of the graph that the database has is enough.
"""
