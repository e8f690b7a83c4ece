-- Makes a definition known; if a worker has its code, also the newest of its name and version, unless
-- it is. A process that computes nothing changes no order: it adds what nobody knew, and renews text
-- and date of what is known.
-- $1 name, $2 version, $3 hash, $4 definition, $5 now; $6: the worker, null for such a process;
-- $7: the channel on which others hear of another order, and of nothing else.
WITH known_of_worker AS (
    UPDATE :"schema".workers AS w
    SET graphs = w.graphs || jsonb_build_object(
        $1::text, coalesce(w.graphs -> $1::text, '{}') || jsonb_build_object($2::text, $3::text)
    )
    WHERE w.id = $6::text
)
INSERT INTO :"schema".graphs AS g
    (name, version, hash, definition, registration, started, registered_at, had_worker)
SELECT
    $1, $2, $3, $4::text::jsonb, coalesce(max(o.registration), 0) + 1,
    coalesce(max(o.registration), 0) + 1, $5, $6::text IS NOT NULL
FROM :"schema".graphs AS o
WHERE o.name = $1 AND o.version = $2 AND o.hash <> $3
ON CONFLICT (name, version, hash) DO UPDATE
SET definition = excluded.definition,
    registration = CASE
        WHEN excluded.had_worker AND g.registration < excluded.registration
        THEN excluded.registration
        ELSE g.registration
    END,
    started = CASE
        WHEN excluded.had_worker THEN greatest(g.registration, excluded.registration)
        ELSE g.started
    END,
    registered_at = excluded.registered_at,
    had_worker = g.had_worker OR excluded.had_worker
RETURNING CASE WHEN registration IS DISTINCT FROM (
    SELECT b.registration -- as it was before
    FROM :"schema".graphs AS b
    WHERE b.name = $1 AND b.version = $2 AND b.hash = $3
) THEN pg_notify($7, '')::text END
