SELECT pg_notify('conveyor', told.note) FROM (
    SELECT priority || ' ' || min(run_after) || ' ' || queue AS note FROM added GROUP BY queue, priority) AS told
