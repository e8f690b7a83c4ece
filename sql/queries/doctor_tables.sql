-- Size, dead rows and rights of each table, and its indexes. $1: the schema's name. `needed` is what
-- sql/grants.sql gives; of a table that is not ours nothing is needed.
WITH needed (name, rights) AS (
    VALUES
        ('migrations', '{SELECT}'::text[]),
        ('graphs', '{SELECT,INSERT,UPDATE}'),
        ('executions', '{SELECT,INSERT,UPDATE}'),
        ('values', '{SELECT,INSERT,UPDATE}'),
        ('computations', '{SELECT,INSERT,UPDATE,DELETE}'),
        ('singletons', '{SELECT,INSERT,DELETE}'),
        ('tallies', '{SELECT,INSERT,UPDATE,DELETE}'),
        ('workers', '{SELECT,INSERT,UPDATE,DELETE}')
)
SELECT
    c.relname AS name,
    pg_total_relation_size(c.oid) AS bytes,
    coalesce(s.n_live_tup, 0) AS live_rows,
    coalesce(s.n_dead_tup, 0) AS dead_rows,
    ARRAY (
        SELECT r.needed
        FROM unnest(n.rights) AS r (needed)
        WHERE NOT has_table_privilege(c.oid, r.needed)
    ) AS lacks,
    n.rights IS NOT NULL AND row_security_active(c.oid) AS hides_rows,
    ARRAY (
        SELECT i.relname::text
        FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
        WHERE x.indrelid = c.oid AND x.indisvalid
        ORDER BY i.relname
    ) AS indexes
FROM pg_class AS c
LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
LEFT JOIN needed AS n ON n.name = c.relname
WHERE c.relnamespace = to_regnamespace(quote_ident($1)) AND c.relkind IN ('r', 'p')
ORDER BY c.relname
