-- What runs past its deadline, and what runs for workers that do not exist, the longest overdue first:
-- all that is computing is read in any case. $1: before which a deadline is past; $2: how many.
SELECT k.execution_id, k.node, k.number, k.token, k.worker, k.deadline < $1 AS is_past_deadline
FROM :"schema".computations AS k
WHERE k.state = 'computing'
  AND (k.deadline < $1
       OR NOT EXISTS (SELECT 1 FROM :"schema".workers AS w WHERE w.id = k.worker))
ORDER BY k.deadline
LIMIT $2
