-- What a worker runs. $1: its id.
SELECT k.execution_id, k.token
FROM :"schema".computations AS k
WHERE k.state = 'computing' AND k.worker = $1
