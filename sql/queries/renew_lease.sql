-- A worker says that it is alive. $1 id, $2 the new end of its lease, $3 whether it holds its lock.
UPDATE :"schema".workers
SET lease_until = $2, locked = $3
WHERE id = $1
RETURNING id
