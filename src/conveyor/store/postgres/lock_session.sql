-- A session for ties: it is kept while its client lives, and until the longest of its locks has run out when the client
-- falls silent. Through a pooler it would not be ours to set.
SELECT direct,
       CASE WHEN direct
            THEN set_config('lock_timeout', '200', false) || set_config('idle_session_timeout', '0', false)
                 || set_config('tcp_keepalives_idle', CAST(:seconds AS text), false)
                 || set_config('tcp_keepalives_interval', '2', false) || set_config('tcp_keepalives_count', '3', false)
                 || set_config('tcp_user_timeout', CAST(:silence AS text), false) END
FROM (SELECT pg_backend_pid() = :pid AS direct) AS session
