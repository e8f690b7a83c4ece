-- The role that migrates: it owns the schema, and with it all tables that migrations create. It
-- needs no other right in the database, and the application needs none of its rights. Run it as a
-- superuser or the owner of the database, before the first migration.
--
--   psql -v schema=journey -v role=migrations -f sql/grants_migrating.sql

CREATE SCHEMA :"schema" AUTHORIZATION :"role";
