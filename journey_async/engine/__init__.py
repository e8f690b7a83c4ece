"""Runs executions: committer, runner, scheduler, waiters, liveness; asyncio, and no SQL."""
