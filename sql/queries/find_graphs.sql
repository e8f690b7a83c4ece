-- The definitions of graphs, newest first. $1, $2: their names and versions; $3: for each, hashes of
-- those that the asker has already, with commas in between, of which there may be many, and long ones:
-- of them only the order is told. The planner is not shown how many graphs these are, so that one plan
-- serves, as in load_executions.sql.
SELECT
    g.name, g.version, g.hash,
    CASE WHEN g.hash <> ALL (string_to_array(asked.known, ',')) THEN g.definition::text END AS definition,
    g.registration
FROM unnest(
    ARRAY(SELECT unnest($1::text[])),
    ARRAY(SELECT unnest($2::text[])),
    ARRAY(SELECT unnest($3::text[]))
) AS asked (name, version, known)
JOIN :"schema".graphs AS g ON g.name = asked.name AND g.version = asked.version
ORDER BY g.registration DESC, g.hash DESC
