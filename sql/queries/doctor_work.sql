-- Work that nobody does. $1: now; $2: before which moment something due should have been done.
SELECT
    (SELECT count(*) FROM :"schema".executions WHERE wake_at < $2) AS overdue_executions,
    (SELECT min(id) FROM :"schema".executions WHERE wake_at < $2) AS overdue_example,
    ARRAY (
        SELECT DISTINCT graph_name || ' ' || graph_version
        FROM :"schema".executions
        WHERE wake_at < $2
        ORDER BY 1
        LIMIT 5
    ) AS overdue_graphs,
    (SELECT count(*) FROM :"schema".computations
     WHERE state = 'computing' AND deadline < $2) AS overdue_computations,
    (SELECT count(*) FROM :"schema".computations AS k
     WHERE k.state = 'computing'
       AND NOT EXISTS (SELECT 1 FROM :"schema".workers AS w WHERE w.id = k.worker)) AS orphans,
    (SELECT count(*) FROM :"schema".workers WHERE lease_until >= $1) AS workers,
    (SELECT count(*) FROM :"schema".workers WHERE lease_until < $1) AS expired_workers,
    (SELECT count(*) FROM :"schema".computations WHERE state = 'computing') AS computing
