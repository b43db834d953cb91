-- How long to wait for a lock that somebody else holds; until the transaction ends, for the session is not ours to
-- change behind a pooler.
set_config('lock_timeout', CAST(:patience AS text), true)
