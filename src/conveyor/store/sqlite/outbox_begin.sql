INSERT INTO conveyor_outbox_batch (number, positions) VALUES (:number, :positions)
