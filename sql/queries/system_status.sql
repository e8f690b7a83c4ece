-- How many executions and computations there are of each graph.
--
-- A step that waits has no row of its own: what counts as not_set is every step that an
-- execution's definition has, less those that run, or have run and were not cleared since.
-- `core.reading.shown_state` says the same of one step. A withdrawn computation (cancelled) never
-- ran and is not counted; what ran before it may still be seen in its value.
WITH steps AS (
    SELECT g.name, g.version, g.hash, n.node ->> 'name' AS node
    FROM :"schema".graphs AS g
    CROSS JOIN LATERAL jsonb_array_elements(g.definition -> 'nodes') AS n (node)
    WHERE n.node ->> 'kind' <> 'input'
),
executions AS (
    SELECT
        e.graph_name, e.graph_version,
        sum(e.total) AS total,
        sum(e.archived) AS archived,
        min(e.first_created_at) AS first_created_at,
        max(e.last_created_at) AS last_created_at,
        max(e.last_updated_at) AS last_updated_at,
        sum(e.total * s.number) AS steps
    FROM (
        SELECT
            graph_name, graph_version, graph_hash,
            count(*) AS total,
            count(archived_at) AS archived,
            min(created_at) AS first_created_at,
            max(created_at) AS last_created_at,
            max(updated_at) AS last_updated_at
        FROM :"schema".executions
        GROUP BY graph_name, graph_version, graph_hash
    ) AS e
    CROSS JOIN LATERAL (
        SELECT count(*) AS number
        FROM steps AS s
        WHERE s.name = e.graph_name AND s.version = e.graph_version AND s.hash = e.graph_hash
    ) AS s
    GROUP BY e.graph_name, e.graph_version
),
computations AS (
    SELECT
        e.graph_name, e.graph_version,
        count(*) FILTER (WHERE k.state = 'success') AS success,
        count(*) FILTER (WHERE k.state = 'failed') AS failed,
        count(*) FILTER (WHERE k.state = 'computing') AS computing,
        count(*) FILTER (WHERE k.state = 'abandoned') AS abandoned,
        max(k.created_at) AS last_created_at,
        max(greatest(k.created_at, k.started_at, k.completed_at)) AS last_updated_at
    FROM :"schema".computations AS k
    JOIN :"schema".executions AS e ON e.id = k.execution_id
    GROUP BY e.graph_name, e.graph_version
),
newest AS (
    -- In the order of the primary key, backwards, so that nothing is sorted.
    SELECT DISTINCT ON (k.execution_id, k.node)
        k.execution_id, k.node, k.state, k.revision_at_completion
    FROM :"schema".computations AS k
    ORDER BY k.execution_id DESC, k.node DESC, k.number DESC
),
run AS (
    SELECT r.graph_name, r.graph_version, sum(r.number) AS steps
    FROM (
        SELECT e.graph_name, e.graph_version, e.graph_hash, k.node, count(*) AS number
        FROM newest AS k
        JOIN :"schema".executions AS e ON e.id = k.execution_id
        LEFT JOIN :"schema"."values" AS v ON v.execution_id = k.execution_id AND v.node = k.node
        WHERE CASE k.state
            WHEN 'available' THEN false
            WHEN 'cancelled' THEN v.set_time IS NOT NULL
            ELSE v.set_time IS NOT NULL OR coalesce(v.revision <= k.revision_at_completion, true)
        END
        GROUP BY e.graph_name, e.graph_version, e.graph_hash, k.node
    ) AS r
    JOIN steps AS s
        ON s.name = r.graph_name AND s.version = r.graph_version AND s.hash = r.graph_hash
        AND s.node = r.node
    GROUP BY r.graph_name, r.graph_version
)
SELECT
    e.graph_name, e.graph_version,
    (e.total - e.archived)::bigint AS active,
    e.archived::bigint AS archived,
    e.first_created_at, e.last_created_at, e.last_updated_at,
    e.steps::bigint AS steps,
    (e.steps - coalesce(r.steps, 0))::bigint AS not_set,
    coalesce(k.success, 0) AS success,
    coalesce(k.failed, 0) AS failed,
    coalesce(k.computing, 0) AS computing,
    coalesce(k.abandoned, 0) AS abandoned,
    k.last_created_at AS computation_created_at,
    k.last_updated_at AS computation_updated_at
FROM executions AS e
LEFT JOIN computations AS k USING (graph_name, graph_version)
LEFT JOIN run AS r USING (graph_name, graph_version)
ORDER BY active DESC, e.graph_name, e.graph_version
