-- Deletes archived executions for good, with all that belongs to them, the longest archived first.
-- $1: those archived before; $2: how many at the most. What somebody holds is left for the next
-- time; what has been unarchived meanwhile is seen to be so once its row is held, and what has
-- changed in any way is left as well: its computations are counted as they were before.
-- That the ids to delete stand in an interval is said for the planner, which expects few of them then:
-- else it reads the table from end to end where it was small when the plan was made.
WITH held AS (
    SELECT id, version
    FROM :"schema".executions
    WHERE archived_at < $1
    ORDER BY archived_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
),
gone AS (
    SELECT e.id, e.graph_name, e.graph_version, e.not_set, k.*
    FROM held AS h
    CROSS JOIN LATERAL (
        SELECT id, graph_name, graph_version, not_set
        FROM :"schema".executions
        WHERE id = h.id AND version = h.version
        LIMIT 1
    ) AS e
    CROSS JOIN LATERAL (
        SELECT
            count(*) FILTER (WHERE state = 'success') AS success,
            count(*) FILTER (WHERE state = 'failed') AS failed,
            count(*) FILTER (WHERE state = 'computing') AS computing,
            count(*) FILTER (WHERE state = 'abandoned') AS abandoned
        FROM :"schema".computations
        WHERE execution_id = h.id
    ) AS k
),
counted AS (
    INSERT INTO :"schema".tallies (
        graph_name, graph_version, active, archived, not_set, success, failed, computing,
        abandoned
    )
    SELECT
        graph_name, graph_version, 0, -count(*), -sum(not_set), -sum(success), -sum(failed),
        -sum(computing), -sum(abandoned)
    FROM gone
    GROUP BY graph_name, graph_version
)
DELETE FROM :"schema".executions
WHERE id = ANY (ARRAY (SELECT id FROM gone))
  AND id BETWEEN (SELECT min(id) FROM gone) AND (SELECT max(id) FROM gone)
RETURNING id
