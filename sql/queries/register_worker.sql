-- A process begins to take work. $1 id, $2 lock key, $3 locked, $4 host, $5 pid, $6 now, $7 lease,
-- $8 the graphs whose code it has.
INSERT INTO :"schema".workers (id, lock_key, locked, host, pid, started_at, lease_until, graphs)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb)
