-- Which start of the server this is. When it restarts all sessions end, and their holders may well live.
CAST(extract(epoch FROM pg_postmaster_start_time()) * 1000000 AS bigint)
