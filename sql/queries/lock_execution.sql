-- Holds an execution until the end of the transaction, after losing too many swaps. $1: its id.
-- It waits for the row no longer than a second: whoever holds it may do so for long, and others need
-- the connection. A process that stops or vanishes in the middle of the transaction keeps the row
-- from others no longer than 10 seconds.
SELECT e.id, limits.*
FROM (
    SELECT
        set_config('lock_timeout', '1s', true),
        set_config('idle_in_transaction_session_timeout', '10s', true)
    OFFSET 0
) AS limits
CROSS JOIN :"schema".executions AS e
WHERE e.id = $1
FOR NO KEY UPDATE OF e
