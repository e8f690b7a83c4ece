-- Makes one part of many, for each graph that has $1 parts or more. $2: how many parts at the most.
-- Those that somebody else folds just then are left to him.
WITH folded AS (
    DELETE FROM :"schema".tallies
    WHERE ctid = ANY (ARRAY (
        SELECT ctid
        FROM :"schema".tallies
        WHERE (graph_name, graph_version) IN (
            SELECT graph_name, graph_version
            FROM :"schema".tallies
            GROUP BY graph_name, graph_version
            HAVING count(*) >= $1
        )
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING *
),
written AS (
    INSERT INTO :"schema".tallies (
        graph_name, graph_version, active, archived, not_set, success, failed, computing,
        abandoned, execution_updated_at, computation_created_at, computation_updated_at
    )
    SELECT
        graph_name, graph_version, sum(active), sum(archived), sum(not_set), sum(success),
        sum(failed), sum(computing), sum(abandoned), max(execution_updated_at),
        max(computation_created_at), max(computation_updated_at)
    FROM folded
    GROUP BY graph_name, graph_version
)
SELECT count(*) AS folded FROM folded
