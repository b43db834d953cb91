WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now),
added AS ({arriving} ON CONFLICT (id) DO NOTHING RETURNING queue) {rung}
