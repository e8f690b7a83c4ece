-- The workers, and which of them have the very code of the one who asks. $1: its id.
SELECT
    w.id, w.lock_key, w.locked, w.lease_until,
    w.graphs = (SELECT o.graphs FROM :"schema".workers AS o WHERE o.id = $1) AS is_peer
FROM :"schema".workers AS w
