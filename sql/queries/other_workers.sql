-- The other workers. $1: the id of the one who asks.
SELECT id, lock_key, locked, lease_until
FROM :"schema".workers
WHERE id <> $1
