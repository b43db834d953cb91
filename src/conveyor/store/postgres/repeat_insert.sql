WITH clock AS MATERIALIZED (SELECT {stamped} AS now),
added AS ({arriving} ON CONFLICT (id) DO NOTHING RETURNING queue, priority, run_after) {rung}
