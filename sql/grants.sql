-- What an application needs, and no more: rows, no tables. Run it as the owner of the schema, and
-- again after each migration; then open Journey with migrate=False.
--
--   psql -v schema=journey -v role=application -f sql/grants.sql
--
-- Whoever migrates is another role: sql/grants_migrating.sql. Journey.purge deletes executions, which
-- this role may not; who purges needs DELETE on executions as well.

GRANT USAGE ON SCHEMA :"schema" TO :"role";
GRANT SELECT ON :"schema".migrations TO :"role";
GRANT SELECT, INSERT, UPDATE ON :"schema".graphs TO :"role";
GRANT SELECT, INSERT, UPDATE ON :"schema".executions TO :"role";
GRANT SELECT, INSERT, UPDATE ON :"schema"."values" TO :"role";
GRANT SELECT, INSERT, UPDATE, DELETE ON :"schema".computations TO :"role";
GRANT SELECT, INSERT, DELETE ON :"schema".singletons TO :"role";
GRANT SELECT, INSERT, UPDATE, DELETE ON :"schema".tallies TO :"role";
GRANT SELECT, INSERT, UPDATE, DELETE ON :"schema".workers TO :"role";
GRANT USAGE ON TYPE :"schema".execution_change, :"schema".value_change, :"schema".computation_change,
    :"schema".pruning, :"schema".node_kind, :"schema".computation_state TO :"role";
