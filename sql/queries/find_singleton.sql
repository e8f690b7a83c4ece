-- The live execution of a singleton graph. $1: the graph's name.
SELECT execution_id
FROM :"schema".singletons
WHERE graph_name = $1
