-- A worker has gone, and its work has been given back. $1: its id; $2, $3: its lock's key and the end
-- of its lease as they were when that was decided, or NULL.
DELETE FROM :"schema".workers
WHERE id = $1
  AND ($2::bigint IS NULL OR (lock_key = $2 AND lease_until = $3::timestamptz))
