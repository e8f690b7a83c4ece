-- Holds an execution until the end of the transaction, after losing too many swaps. $1: its id.
-- A process that stops or vanishes in the middle of it keeps the row from others no longer than
-- 10 seconds.
SELECT id, set_config('idle_in_transaction_session_timeout', '10s', true)
FROM :"schema".executions
WHERE id = $1
FOR NO KEY UPDATE
