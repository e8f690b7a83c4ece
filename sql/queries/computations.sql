-- All computations of an execution, oldest first. $1: its id; $2: a node, or null for all.
SELECT
    node, number, kind, state, computed_with::text AS computed_with, created_at, attempt,
    iteration, due_at, started_at, deadline, completed_at, revision_at_start,
    revision_at_completion, worker, token, deaths, successes, permanent, error,
    carried::text AS carried, disposition, trace_context
FROM :"schema".computations
WHERE execution_id = $1 AND ($2::text IS NULL OR node = $2)
ORDER BY created_at, node, number
