-- Makes a definition the newest again if no worker is left that has the code of a newer one: older
-- code may come last and end before its executions do. A definition that no worker ever had keeps its
-- place: it waits for its first. $1 name, $2 version, $3 hash, $4 now; $5: the channel on which others
-- hear of it.
UPDATE :"schema".graphs AS g
SET registration = newest.registration + 1, registered_at = $4
FROM (
    SELECT n.hash, n.registration, n.had_worker
    FROM :"schema".graphs AS n
    WHERE n.name = $1 AND n.version = $2
    ORDER BY n.registration DESC, n.hash DESC
    LIMIT 1
) AS newest
WHERE g.name = $1 AND g.version = $2 AND g.hash = $3
  AND newest.hash <> $3
  AND newest.had_worker
  AND NOT EXISTS (
      SELECT 1
      FROM :"schema".graphs AS o
      JOIN :"schema".workers AS w ON w.graphs -> o.name ->> o.version = o.hash
      WHERE o.name = $1 AND o.version = $2
        AND (o.started, o.hash) > (g.started, g.hash)
  )
RETURNING pg_notify($5, '')::text
