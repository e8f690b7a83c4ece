-- The definitions of one graph, newest first. $1 name, $2 version.
SELECT hash, definition::text AS definition, registration
FROM :"schema".graphs
WHERE name = $1 AND version = $2
ORDER BY registration DESC, hash DESC
