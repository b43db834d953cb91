-- Whether its time is over: by the clock that nobody sets, where whoever wrote the row has the same one as whoever reads
-- it; else by the machine's clock.
held.expires_at = 0
    OR CASE WHEN held.boot = :boot AND held.counted = held.token THEN held.runs_out <= :uptime ELSE held.expires_at <= :now END
