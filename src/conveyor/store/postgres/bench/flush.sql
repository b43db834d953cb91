-- What this session has done itself is counted at once.
SELECT pg_stat_force_next_flush()
