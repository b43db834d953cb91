WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now), added AS ({arriving} RETURNING queue) {rung}
