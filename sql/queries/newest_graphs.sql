-- The newest definition of each graph and version, the one registered last first.
SELECT definition
FROM (
    SELECT DISTINCT ON (name, version) definition::text AS definition, registered_at, name, version
    FROM :"schema".graphs
    ORDER BY name, version, registration DESC, hash DESC
) AS g
ORDER BY registered_at DESC, name, version
