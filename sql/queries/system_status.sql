-- How many executions and computations there are of each graph: the sums of its tally, and what an
-- index knows. `has_steps`: whether there is anything to compute.
SELECT
    t.graph_name, t.graph_version,
    t.active, t.archived,
    d.first_created_at, d.last_created_at,
    t.execution_updated_at AS last_updated_at,
    EXISTS (
        SELECT
        FROM :"schema".graphs AS g
        CROSS JOIN LATERAL jsonb_array_elements(g.definition -> 'nodes') AS n (node)
        WHERE g.name = t.graph_name AND g.version = t.graph_version
          AND n.node ->> 'kind' <> 'input'
    ) AS has_steps,
    t.not_set, t.success, t.failed, t.computing, t.abandoned,
    t.computation_created_at, t.computation_updated_at
FROM (
    SELECT
        graph_name, graph_version,
        sum(active)::bigint AS active,
        sum(archived)::bigint AS archived,
        sum(not_set)::bigint AS not_set,
        sum(success)::bigint AS success,
        sum(failed)::bigint AS failed,
        sum(computing)::bigint AS computing,
        sum(abandoned)::bigint AS abandoned,
        max(execution_updated_at) AS execution_updated_at,
        max(computation_created_at) AS computation_created_at,
        max(computation_updated_at) AS computation_updated_at
    FROM :"schema".tallies
    GROUP BY graph_name, graph_version
) AS t
CROSS JOIN LATERAL (
    SELECT min(e.created_at) AS first_created_at, max(e.created_at) AS last_created_at
    FROM :"schema".executions AS e
    WHERE e.graph_name = t.graph_name AND e.graph_version = t.graph_version
) AS d
WHERE t.active + t.archived > 0
ORDER BY t.active DESC, t.graph_name, t.graph_version
