-- The database's clock, and whether a pooler stands in between (then the backend is another one).
SELECT clock_timestamp() AS now, pg_backend_pid() AS backend
