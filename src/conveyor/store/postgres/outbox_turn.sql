-- Whose turn it is, for how much longer, and whether there is anything to be forwarded: with ORDER BY, for else the
-- server may well read the table from its beginning, where all are that were forwarded.
SELECT coalesce(relay.owner, ''), coalesce(relay.owned_until - conveyor_now(), 0),
       (SELECT position FROM conveyor_outbox WHERE target = :target AND position > :since
        ORDER BY position LIMIT 1) IS NOT NULL
FROM (SELECT 1 AS one) AS always LEFT JOIN conveyor_relay AS relay ON relay.target = :target
