-- Deletes archived executions for good, with all that belongs to them, the longest archived first.
-- $1: those archived before; $2: how many at the most. What somebody holds is left for the next
-- time; what has been unarchived meanwhile is seen to be so once its row is held.
WITH gone AS (
    SELECT id
    FROM :"schema".executions
    WHERE archived_at < $1
    ORDER BY archived_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
DELETE FROM :"schema".executions
WHERE id = ANY (ARRAY (SELECT id FROM gone))
RETURNING id
