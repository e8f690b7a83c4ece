-- The versions of executions, to confirm what is cached. $1: ids.
SELECT id, version
FROM :"schema".executions
WHERE id = ANY ($1::text[])
