-- Which start of the server this is. When it restarts all sessions end, and their holders may well live. It also does so
-- under the same postmaster, when one of its processes was killed: then it has lost its statistics.
CAST(extract(epoch FROM pg_postmaster_start_time()) * 1000000 AS bigint)
    # coalesce((SELECT CAST(extract(epoch FROM stats_reset) * 1000000 AS bigint) FROM pg_stat_bgwriter), 0)
