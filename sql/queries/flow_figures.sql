-- How far the executions of a graph get: what all have in common, and in each row one node.
-- $1, $2: the graph's name and version; $3: 'active', 'archived' or 'all'; $4: an execution in
-- which nothing was set since has ended, at the node set last (of several at once: the one with
-- the newest revision, then the first by name). System nodes have no rows.
WITH chosen AS (
    SELECT id, created_at, extract(epoch FROM updated_at - created_at) AS seconds
    FROM :"schema".executions
    WHERE graph_name = $1 AND graph_version = $2
      AND ($3::text = 'all' OR (archived_at IS NULL) = ($3::text = 'active'))
),
reached AS (
    SELECT
        v.node, v.kind, v.set_time,
        extract(epoch FROM v.set_time - c.created_at) AS seconds,
        row_number() OVER (
            PARTITION BY v.execution_id ORDER BY v.set_time DESC, v.revision DESC, v.node
        ) AS place
    FROM :"schema"."values" AS v
    JOIN chosen AS c ON c.id = v.execution_id
    WHERE v.set_time IS NOT NULL
),
nodes AS (
    SELECT
        node, kind,
        count(*) AS reached,
        round(avg(seconds))::bigint AS average_seconds,
        count(*) FILTER (WHERE place = 1 AND set_time < $4::timestamptz) AS ended
    FROM reached
    GROUP BY node, kind
),
together AS (
    SELECT
        count(*) AS executions,
        round(coalesce(avg(seconds), 0))::bigint AS average_duration,
        round(coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds), 0)::numeric)::bigint
            AS median_duration
    FROM chosen
)
SELECT
    t.executions, t.average_duration, t.median_duration,
    n.node, n.kind, n.reached, n.average_seconds, n.ended
FROM together AS t
LEFT JOIN nodes AS n ON true
ORDER BY n.reached DESC, n.node, n.kind
