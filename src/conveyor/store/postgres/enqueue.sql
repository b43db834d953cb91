WITH clock AS MATERIALIZED (SELECT {stamped} AS now), added AS ({arriving} RETURNING queue, priority, run_after) {rung}
