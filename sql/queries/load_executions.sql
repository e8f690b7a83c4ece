-- Executions with their values and the newest computation of each node, in one snapshot.
-- $1: ids. Times inside the JSON are UTC. From the newest computation of a node it goes straight to
-- that of the node before, along the primary key, so that the cost does not grow with past
-- computations. One execution after the other, from a list of which the planner is not shown how
-- long it is: so it takes the same plan always, and need not plan anew each time, which takes longer
-- than to read one. (Searches put something else in the place of that list: store/search.py.)
SELECT
    e.id, e.graph_name, e.graph_version, e.graph_hash, e.version, e.revision,
    e.created_at, e.updated_at, e.archived_at, e.wake_at,
    e.values_at, e.values_revision, e.inputs_revision, e.not_set,
    (
        SELECT json_agg(json_build_array(
            v.node, v.kind, v.value, v.metadata, v.revision, v.set_time AT TIME ZONE 'UTC'
        ))
        FROM :"schema"."values" AS v
        WHERE v.execution_id = e.id
    )::text AS "values",
    (
        WITH RECURSIVE newest AS (
            (
                SELECT *
                FROM :"schema".computations AS k
                WHERE k.execution_id = e.id
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
        )
        SELECT json_agg(json_build_array(
            k.node, k.number, k.kind, k.state, k.computed_with,
            k.created_at AT TIME ZONE 'UTC', k.attempt, k.iteration, k.due_at AT TIME ZONE 'UTC',
            k.started_at AT TIME ZONE 'UTC', k.deadline AT TIME ZONE 'UTC',
            k.completed_at AT TIME ZONE 'UTC', k.revision_at_start, k.revision_at_completion,
            k.worker, k.token, k.deaths, k.successes, k.permanent, k.error, k.carried,
            k.disposition, k.trace_context
        ))
        FROM newest AS k
    )::text AS computations
FROM unnest(ARRAY(SELECT unnest($1::text[]))) AS asked (id)
CROSS JOIN LATERAL (
    SELECT *
    FROM :"schema".executions AS one
    WHERE one.id = asked.id
    OFFSET 0
) AS e
