-- Writes many changes at once, each over the version that it was decided on, and tells which.
--
-- A change whose execution has another version by now, or whose row somebody holds, is left out
-- as a whole. $1: executions; $2: values; $3: computations; $4: successful computations to delete;
-- their types are at the end of sql/schema.sql. $5, $6: the channels for what changed and for what
-- is due; $7: who sends.
WITH change AS (
    SELECT *
    FROM unnest($1:::"schema".execution_change[])
),
-- One by one: as a join, it would be planned while the table is small, and read the whole of it
-- until the next ANALYZE.
held AS (
    SELECT h.id
    FROM change AS c
    CROSS JOIN LATERAL (
        SELECT e.id
        FROM :"schema".executions AS e
        WHERE e.id = c.id AND e.version = c.expected
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS h
    WHERE c.expected > 0
),
-- Who takes the same slot at the same time waits for the other: all in one order, lest two wait for
-- each other.
slotted AS (
    INSERT INTO :"schema".singletons (graph_name, execution_id)
    SELECT c.slot, c.id
    FROM change AS c
    WHERE c.slot IS NOT NULL AND (c.expected = 0 OR c.id = ANY (ARRAY(SELECT id FROM held)))
    ORDER BY c.slot
    ON CONFLICT (graph_name) DO NOTHING
    RETURNING execution_id
),
allowed AS (
    SELECT c.*
    FROM change AS c
    WHERE (c.expected = 0 OR c.id = ANY (ARRAY(SELECT id FROM held)))
      AND (c.slot IS NULL OR c.id = ANY (ARRAY(SELECT execution_id FROM slotted)))
),
created AS (
    INSERT INTO :"schema".executions (
        id, graph_name, graph_version, graph_hash, version, revision, created_at, updated_at,
        archived_at, wake_at, values_at, values_revision, inputs_revision, not_set, applied
    )
    SELECT
        id, graph_name, graph_version, graph_hash, version, revision, to_timestamp(created_at),
        to_timestamp(updated_at), to_timestamp(archived_at), wake_at, to_timestamp(values_at),
        values_revision, inputs_revision, not_set, version
    FROM allowed
    WHERE expected = 0
    ON CONFLICT (id) DO NOTHING
    RETURNING id
),
updated AS (
    UPDATE :"schema".executions AS e
    SET version = a.version,
        graph_hash = a.graph_hash,
        revision = a.revision,
        updated_at = to_timestamp(a.updated_at),
        archived_at = to_timestamp(a.archived_at),
        wake_at = a.wake_at,
        values_at = to_timestamp(a.values_at),
        values_revision = a.values_revision,
        inputs_revision = a.inputs_revision,
        not_set = a.not_set,
        applied = a.version,
        whole_from = CASE WHEN e.applied = e.version THEN e.whole_from ELSE e.version END
    FROM allowed AS a
    WHERE e.id = a.id AND a.expected > 0
    RETURNING e.id
),
applied AS (
    SELECT id FROM created
    UNION ALL
    SELECT id FROM updated
),
vacated AS (
    DELETE FROM :"schema".singletons AS s
    USING change AS c
    WHERE s.execution_id = c.id
      AND c.archived_at IS NOT NULL
      AND c.id = ANY (ARRAY(SELECT id FROM updated))
),
written_values AS (
    INSERT INTO :"schema"."values" AS v (
        execution_id, node, kind, value, metadata, revision, set_time, version
    )
    SELECT
        n.execution_id, n.node, n.kind, n.value::jsonb, n.metadata::jsonb, n.revision,
        to_timestamp(n.set_time), n.version
    FROM unnest($2:::"schema".value_change[]) AS n
    WHERE n.execution_id = ANY (ARRAY(SELECT id FROM applied))
    ON CONFLICT (execution_id, node) DO UPDATE
    SET kind = excluded.kind,
        value = excluded.value,
        metadata = excluded.metadata,
        revision = excluded.revision,
        set_time = excluded.set_time,
        version = excluded.version
),
written_computations AS (
    INSERT INTO :"schema".computations AS k (
        execution_id, node, number, kind, state, computed_with, created_at, attempt, iteration,
        due_at, started_at, deadline, completed_at, revision_at_start, revision_at_completion,
        worker, token, deaths, successes, permanent, error, carried, disposition,
        trace_context, version
    )
    SELECT
        n.execution_id, n.node, n.number, n.kind, n.state, n.computed_with::jsonb,
        to_timestamp(n.created_at), n.attempt, n.iteration, to_timestamp(n.due_at),
        to_timestamp(n.started_at), to_timestamp(n.deadline), to_timestamp(n.completed_at),
        n.revision_at_start, n.revision_at_completion, n.worker, n.token, n.deaths, n.successes,
        n.permanent, n.error, n.carried::jsonb, n.disposition, n.trace_context, n.version
    FROM unnest($3:::"schema".computation_change[]) AS n
    WHERE n.execution_id = ANY (ARRAY(SELECT id FROM applied))
    ON CONFLICT (execution_id, node, number) DO UPDATE
    SET kind = excluded.kind,
        state = excluded.state,
        computed_with = excluded.computed_with,
        attempt = excluded.attempt,
        iteration = excluded.iteration,
        due_at = excluded.due_at,
        started_at = excluded.started_at,
        deadline = excluded.deadline,
        completed_at = excluded.completed_at,
        revision_at_start = excluded.revision_at_start,
        revision_at_completion = excluded.revision_at_completion,
        worker = excluded.worker,
        token = excluded.token,
        deaths = excluded.deaths,
        successes = excluded.successes,
        permanent = excluded.permanent,
        error = excluded.error,
        carried = excluded.carried,
        disposition = excluded.disposition,
        trace_context = excluded.trace_context,
        version = excluded.version
),
pruned AS (
    DELETE FROM :"schema".computations AS k
    USING unnest($4:::"schema".pruning[]) AS p
    WHERE k.execution_id = p.execution_id
      AND k.node = p.node
      AND k.state = 'success'
      AND k.successes > p.above
      AND k.successes < p.below
      AND p.execution_id IN (SELECT id FROM applied)
    RETURNING k.execution_id
),
counted AS (
    INSERT INTO :"schema".tallies (
        graph_name, graph_version, active, archived, not_set, success, failed, computing,
        abandoned, execution_updated_at, computation_created_at, computation_updated_at
    )
    SELECT
        c.graph_name, c.graph_version, c.more_active, c.more_archived, c.more_not_set,
        c.more_success - (SELECT count(*) FROM pruned AS p WHERE p.execution_id = c.id),
        c.more_failed, c.more_computing, c.more_abandoned,
        to_timestamp(c.updated_at), to_timestamp(c.computation_created_at),
        to_timestamp(c.computation_updated_at)
    FROM change AS c
    WHERE c.id = ANY (ARRAY(SELECT id FROM applied))
)
SELECT id, NULL AS server
FROM applied
UNION ALL
-- One notification for many executions; its payload may have 8,000 bytes. What is left to others is
-- marked with the definition that it is on, so that who has its code need not ask what is due.
SELECT
    NULL,
    pg_notify($5, $7 || E'\n' || string_agg(m.line, E'\n'))::text
        || extract(epoch FROM pg_postmaster_start_time())
FROM (
    SELECT
        c.id || ' ' || c.version || CASE
            WHEN c.is_due THEN ' ' || left(c.graph_hash, 8) ELSE ''
        END AS line,
        row_number() OVER () / 80 AS part
    FROM change AS c
    WHERE c.id = ANY (ARRAY(SELECT id FROM applied))
) AS m
GROUP BY m.part
UNION ALL
SELECT NULL, pg_notify($6, $7 || E'\n' || extract(epoch FROM min(c.wake_at)))::text
FROM change AS c
WHERE c.announces AND NOT c.is_due AND c.id = ANY (ARRAY(SELECT id FROM applied))
HAVING min(c.wake_at) IS NOT NULL
