-- When the server's queue of notifications is full (somebody listens, and does not end a transaction), a NOTIFY fails,
-- and with it the transaction that it is part of. Polling stands in.
pg_notification_queue_usage() < 0.9
