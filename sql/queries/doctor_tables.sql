-- Size, dead rows and rights of each table, and its indexes. $1: the schema's name.
SELECT
    c.relname AS name,
    pg_total_relation_size(c.oid) AS bytes,
    coalesce(s.n_live_tup, 0) AS live_rows,
    coalesce(s.n_dead_tup, 0) AS dead_rows,
    has_table_privilege(c.oid, 'SELECT')
        AND (c.relname = 'migrations'
             OR has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE')) AS may_use,
    ARRAY (
        SELECT i.relname::text
        FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
        WHERE x.indrelid = c.oid AND x.indisvalid
        ORDER BY i.relname
    ) AS indexes
FROM pg_class AS c
LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
WHERE c.relnamespace = to_regnamespace(quote_ident($1)) AND c.relkind IN ('r', 'p')
ORDER BY c.relname
