"""The server's side of the connections that this library opens."""

# Ends all of them to the database that it is asked in.
TERMINATE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'journey_async'
"""
