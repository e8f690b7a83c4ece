"""A private PostgreSQL for `embedded:` and for tests: found, started, stopped, all by itself.

    binaries      which `postgres` and `initdb` to use
    server        one data directory: made, started, stopped (standard library only)
    __main__      the supervisor, a process of its own that owns the server of a path
    lifecycle     acquire and release, shared by all processes on a path

Works on POSIX systems. Nothing here speaks SQL.
"""

from journey_async.embedded.binaries import find_bindir
from journey_async.embedded.lifecycle import EmbeddedPostgres, acquire, default_path

__all__ = ["EmbeddedPostgres", "acquire", "default_path", "find_bindir"]
