-- The executions that want attention first, due or not. $1, $2: names and versions of the graphs
-- whose code is here; $3: for each the hashes of definitions newer than that code, with commas in
-- between; $4: executions to leave out; $5: how many; $6, $7: after which time and id. The planner is
-- not shown how many of all these there are, so that one plan serves, as in load_executions.sql.
SELECT e.id, e.wake_at, e.version
FROM unnest(
    ARRAY(SELECT unnest($1::text[])),
    ARRAY(SELECT unnest($2::text[])),
    ARRAY(SELECT unnest($3::text[]))
) AS g (name, version, newer)
CROSS JOIN LATERAL (
    SELECT x.id, x.wake_at, x.version
    FROM :"schema".executions AS x
    WHERE x.graph_name = g.name
      AND x.graph_version = g.version
      AND x.wake_at >= $6
      AND (x.wake_at > $6 OR x.id > $7)
      AND x.graph_hash <> ALL (string_to_array(g.newer, ','))
      AND x.id <> ALL (ARRAY(SELECT unnest($4::text[])))
    ORDER BY x.wake_at, x.id
    LIMIT (SELECT $5::bigint)
) AS e
ORDER BY e.wake_at, e.id
LIMIT (SELECT $5::bigint)
