-- Holds an execution until the end of the transaction, after losing too many swaps. $1: its id.
SELECT id
FROM :"schema".executions
WHERE id = $1
FOR NO KEY UPDATE
