-- The versions of executions, to confirm what is cached. $1: ids; one by one as in load_executions.sql.
SELECT e.id, e.version
FROM unnest(ARRAY(SELECT unnest($1::text[]))) AS asked (id)
CROSS JOIN LATERAL (
    SELECT one.id, one.version
    FROM :"schema".executions AS one
    WHERE one.id = asked.id
    OFFSET 0
) AS e
