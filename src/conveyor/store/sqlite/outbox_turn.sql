-- Whose turn it is, for how much longer, and whether there is anything to be forwarded.
SELECT coalesce(relay.owner, ''), coalesce(relay.owned_until - :now, 0),
       EXISTS (SELECT 1 FROM conveyor_outbox WHERE target = :target AND position > :since)
FROM (SELECT 1 AS one) AS always LEFT JOIN conveyor_relay AS relay ON relay.target = :target
