-- A worker says that it is alive, and sees the others. $1 id, $2 the new end of its lease, $3
-- whether it holds its lock, $4 the graphs whose code it has; more may have been registered since they
-- were put down; $5 the key of its lock, another one for each connection. The row with the
-- database's clock is its own, and empty but for that if others have forgotten it.
WITH renewed AS (
    UPDATE :"schema".workers
    SET lease_until = $2, locked = $3, lock_key = $5,
        graphs = CASE WHEN graphs @> $4::text::jsonb THEN graphs ELSE $4::text::jsonb END
    WHERE id = $1
    RETURNING id, lock_key, locked, lease_until
)
SELECT r.id, r.lock_key, r.locked, r.lease_until, NULL AS is_peer, clock_timestamp() AS now
FROM (VALUES (1)) AS own LEFT JOIN renewed AS r ON true
UNION ALL
SELECT id, lock_key, locked, lease_until, graphs = $4::text::jsonb, NULL
FROM :"schema".workers
WHERE id <> $1
