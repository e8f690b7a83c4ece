-- Executions with their values and the newest computation of each node, in one snapshot.
--
-- $1: ids; $2: for each the version at which it is known, of which only what was written since is
-- read, or -1; $3: whether to go through all its computations, for there are not many more than nodes.
-- Else it goes straight from the newest computation of a node to that of the node before, along the
-- primary key, so that the cost does not grow with past computations.
--
-- `server` tells servers apart, and one that was started anew from what it was: what is known of one
-- may be lost on another. Times inside the JSON are UTC. One execution after the other, from a list of
-- which the planner is not shown how long it is: so it takes the same plan always, and need not plan
-- anew each time, which takes longer than to read one. (Searches put something else in the place of
-- that list: store/search.py.)
SELECT
    e.id, e.graph_name, e.graph_version, e.graph_hash, e.version, e.revision,
    e.created_at, e.updated_at, e.archived_at, e.wake_at,
    e.values_at, e.values_revision, e.inputs_revision, e.not_set, e.applied, e.whole_from,
    extract(epoch FROM pg_postmaster_start_time())::text AS server,
    (
        SELECT json_agg(json_build_array(
            v.node, v.kind, v.value, v.metadata, v.revision, v.set_time AT TIME ZONE 'UTC'
        ))
        FROM :"schema"."values" AS v
        WHERE v.execution_id = e.id AND v.version > asked.known
    )::text AS "values",
    (
        WITH RECURSIVE newest AS (
            (
                SELECT *
                FROM :"schema".computations AS k
                WHERE k.execution_id = e.id AND NOT asked.goes_through
                ORDER BY k.node DESC, k.number DESC
                LIMIT 1
            )
            UNION ALL
            SELECT k.*
            FROM newest
            CROSS JOIN LATERAL (
                SELECT *
                FROM :"schema".computations AS k
                WHERE k.execution_id = e.id AND k.node < newest.node
                ORDER BY k.node DESC, k.number DESC
                LIMIT 1
            ) AS k
        ),
        newer AS (
            SELECT *
            FROM newest
            WHERE version > asked.known
            UNION ALL
            (
                SELECT DISTINCT ON (k.node) *
                FROM :"schema".computations AS k
                WHERE k.execution_id = e.id AND asked.goes_through AND k.version > asked.known
                ORDER BY k.node DESC, k.number DESC
            )
        )
        SELECT json_agg(json_build_array(
            k.node, k.number, k.kind, k.state, k.computed_with,
            k.created_at AT TIME ZONE 'UTC', k.attempt, k.iteration, k.due_at AT TIME ZONE 'UTC',
            k.started_at AT TIME ZONE 'UTC', k.deadline AT TIME ZONE 'UTC',
            k.completed_at AT TIME ZONE 'UTC', k.revision_at_start, k.revision_at_completion,
            k.worker, k.token, k.deaths, k.successes, k.permanent, k.error, k.carried,
            k.disposition, k.trace_context
        ))
        FROM newer AS k
    )::text AS computations
FROM unnest(
    ARRAY(SELECT unnest($1::text[])),
    ARRAY(SELECT unnest($2::bigint[])),
    ARRAY(SELECT unnest($3::boolean[]))
) AS asked (id, known, goes_through)
CROSS JOIN LATERAL (
    SELECT *
    FROM :"schema".executions AS one
    WHERE one.id = asked.id
    OFFSET 0
) AS e
