-- Makes a definition the newest of its name and version, unless it is.
-- $1 name, $2 version, $3 hash, $4 definition, $5 now.
INSERT INTO :"schema".graphs AS g (name, version, hash, definition, registration, registered_at)
SELECT $1, $2, $3, $4::text::jsonb, coalesce(max(o.registration), 0) + 1, $5
FROM :"schema".graphs AS o
WHERE o.name = $1 AND o.version = $2
ON CONFLICT (name, version, hash) DO UPDATE
SET definition = excluded.definition,
    registration = CASE
        WHEN g.registration < excluded.registration - 1 THEN excluded.registration
        ELSE g.registration
    END,
    registered_at = excluded.registered_at
RETURNING registration
