-- How many live executions are on some definitions of a graph. $1 name, $2 version, $3 the hashes.
SELECT count(*) AS live
FROM :"schema".executions AS e
WHERE e.graph_name = $1
  AND e.graph_version = $2
  AND e.graph_hash = ANY ($3::text[])
  AND e.archived_at IS NULL
