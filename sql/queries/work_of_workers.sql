-- The executions in which workers have something running. $1: ids of the workers.
SELECT k.execution_id, k.worker
FROM :"schema".computations AS k
WHERE k.state = 'computing' AND k.worker = ANY ($1::text[])
GROUP BY k.execution_id, k.worker
