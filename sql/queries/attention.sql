-- The executions that want attention first, due or not. $1, $2: names and versions of the graphs
-- whose code is here; $3: how many.
SELECT e.id, e.wake_at
FROM unnest($1::text[], $2::text[]) AS g (name, version)
CROSS JOIN LATERAL (
    SELECT x.id, x.wake_at
    FROM :"schema".executions AS x
    WHERE x.graph_name = g.name AND x.graph_version = g.version AND x.wake_at IS NOT NULL
    ORDER BY x.wake_at
    LIMIT $3
) AS e
ORDER BY e.wake_at
LIMIT $3
