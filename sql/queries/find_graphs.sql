-- The definitions of one graph, newest first. $1 name, $2 version; $3: hashes of those that the asker
-- has already, of which there may be many, and long ones: of them only the order is told.
SELECT
    hash, CASE WHEN hash <> ALL ($3::text[]) THEN definition::text END AS definition, registration
FROM :"schema".graphs
WHERE name = $1 AND version = $2
ORDER BY registration DESC, hash DESC
