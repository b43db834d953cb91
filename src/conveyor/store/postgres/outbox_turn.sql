-- Whose turn it is, for how much longer, and whether there is anything to be forwarded.
SELECT owner, owned_until - conveyor_now(), EXISTS (SELECT 1 FROM conveyor_outbox WHERE position > :since) FROM conveyor_relay
