-- A worker has gone, and its work has been given back. $1: its id.
DELETE FROM :"schema".workers
WHERE id = $1
