-- Live executions that are still on older definitions of a graph. $1 name, $2 version, $3 the older
-- hashes; $4: how many at the most; $5: those to leave out. Read from their place in the index on,
-- in its order: told to look for equal ones, the planner may hope to meet some early in the table,
-- where there are none.
SELECT e.id
FROM unnest($3::text[]) AS h (hash)
CROSS JOIN LATERAL (
    SELECT x.id, x.graph_name, x.graph_version, x.graph_hash
    FROM :"schema".executions AS x
    WHERE (x.graph_name, x.graph_version, x.graph_hash) >= ($1, $2, h.hash)
      AND x.archived_at IS NULL
      AND x.id <> ALL ($5::text[])
    ORDER BY x.graph_name, x.graph_version, x.graph_hash
    LIMIT $4
) AS e
WHERE e.graph_name = $1 AND e.graph_version = $2 AND e.graph_hash = h.hash
LIMIT $4
