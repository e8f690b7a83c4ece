-- Live executions that are still on older definitions of a graph. $1 name, $2 version, $3 the older
-- hashes; $4: how many at the most.
SELECT e.id
FROM unnest($3::text[]) AS h (hash)
CROSS JOIN LATERAL (
    SELECT x.id
    FROM :"schema".executions AS x
    WHERE x.graph_name = $1
      AND x.graph_version = $2
      AND x.graph_hash = h.hash
      AND x.archived_at IS NULL
    LIMIT $4
) AS e
LIMIT $4
