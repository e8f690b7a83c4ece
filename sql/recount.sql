-- Counts anew what status() tells, after rows were changed or deleted by hand. Writers wait meanwhile.
--
-- A step is not_set that an execution's definition has, unless it runs, or has run and was not cleared
-- since; `core.state.shown_state` says the same of one step. A withdrawn computation (cancelled)
-- never ran and is not counted; what ran before it may still be seen in its value.
BEGIN;

LOCK TABLE :"schema".executions, :"schema".tallies IN SHARE ROW EXCLUSIVE MODE;

WITH steps AS (
    SELECT g.name, g.version, g.hash, n.node ->> 'name' AS node
    FROM :"schema".graphs AS g
    CROSS JOIN LATERAL jsonb_array_elements(g.definition -> 'nodes') AS n (node)
    WHERE n.node ->> 'kind' <> 'input'
),
newest AS (
    -- In the order of the primary key, backwards, so that nothing is sorted.
    SELECT DISTINCT ON (k.execution_id, k.node)
        k.execution_id, k.node, k.state, k.revision_at_completion
    FROM :"schema".computations AS k
    ORDER BY k.execution_id DESC, k.node DESC, k.number DESC
),
run AS (
    SELECT k.execution_id, count(*) AS number
    FROM newest AS k
    JOIN :"schema".executions AS e ON e.id = k.execution_id
    JOIN steps AS s
        ON s.name = e.graph_name AND s.version = e.graph_version AND s.hash = e.graph_hash
        AND s.node = k.node
    LEFT JOIN :"schema"."values" AS v ON v.execution_id = k.execution_id AND v.node = k.node
    WHERE CASE k.state
        WHEN 'available' THEN false
        WHEN 'cancelled' THEN v.set_time IS NOT NULL
        ELSE v.set_time IS NOT NULL OR coalesce(v.revision <= k.revision_at_completion, true)
    END
    GROUP BY k.execution_id
),
counted AS (
    SELECT e.id, coalesce(s.number, 0) - coalesce(r.number, 0) AS not_set
    FROM :"schema".executions AS e
    LEFT JOIN (
        SELECT name, version, hash, count(*) AS number
        FROM steps
        GROUP BY name, version, hash
    ) AS s ON s.name = e.graph_name AND s.version = e.graph_version AND s.hash = e.graph_hash
    LEFT JOIN run AS r ON r.execution_id = e.id
)
UPDATE :"schema".executions AS e
SET not_set = c.not_set, version = e.version + 1
FROM counted AS c
WHERE c.id = e.id AND c.not_set <> e.not_set;

DELETE FROM :"schema".tallies;

INSERT INTO :"schema".tallies (
    graph_name, graph_version, active, archived, not_set, success, failed, computing,
    abandoned, execution_updated_at, computation_created_at, computation_updated_at
)
SELECT
    e.graph_name, e.graph_version,
    count(*) FILTER (WHERE e.archived_at IS NULL),
    count(e.archived_at),
    sum(e.not_set),
    coalesce(sum(k.success), 0),
    coalesce(sum(k.failed), 0),
    coalesce(sum(k.computing), 0),
    coalesce(sum(k.abandoned), 0),
    max(e.updated_at), max(k.created_at), max(k.updated_at)
FROM :"schema".executions AS e
LEFT JOIN (
    SELECT
        execution_id,
        count(*) FILTER (WHERE state = 'success') AS success,
        count(*) FILTER (WHERE state = 'failed') AS failed,
        count(*) FILTER (WHERE state = 'computing') AS computing,
        count(*) FILTER (WHERE state = 'abandoned') AS abandoned,
        max(created_at) AS created_at,
        max(greatest(created_at, started_at, completed_at)) AS updated_at
    FROM :"schema".computations
    GROUP BY execution_id
) AS k ON k.execution_id = e.id
GROUP BY e.graph_name, e.graph_version;

COMMIT;
