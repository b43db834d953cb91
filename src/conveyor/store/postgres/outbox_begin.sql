INSERT INTO conveyor_outbox_batch (target, number, positions) VALUES (:target, :number, :positions)
