-- What matters of the server. $1: the schema's name.
SELECT
    current_setting('server_version_num')::integer AS version_number,
    current_setting('server_version') AS version,
    current_setting('fsync') = 'on' AS fsync,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('full_page_writes') = 'on' AS full_page_writes,
    current_setting('autovacuum') = 'on' AS autovacuum,
    current_setting('max_connections')::integer AS max_connections,
    extract(epoch FROM current_setting('statement_timeout')::interval)::float8
        AS statement_timeout,
    extract(epoch FROM current_setting('idle_session_timeout')::interval)::float8
        AS idle_session_timeout,
    -- pg_stat_activity hides from most roles which sessions of others are those of clients
    (SELECT sum(numbackends)::integer FROM pg_stat_database) AS connections,
    pg_is_in_recovery() AS is_standby,
    current_setting('transaction_read_only') = 'on' AS is_read_only,
    getdatabaseencoding() AS encoding,
    clock_timestamp() AS now,
    (SELECT extract(epoch FROM max(clock_timestamp() - xact_start))::float8
     FROM pg_stat_activity
     WHERE datname = current_database()
       AND pid <> pg_backend_pid()
       AND backend_type IS DISTINCT FROM 'autovacuum worker'
       AND pid NOT IN (SELECT pid FROM pg_stat_progress_vacuum)) AS longest_transaction,
    pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all_sessions,
    -- null where there is no such schema
    has_schema_privilege(to_regnamespace(quote_ident($1)), 'USAGE') AS may_use_schema
