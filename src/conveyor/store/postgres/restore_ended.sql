INSERT INTO conveyor_history ({history_columns})
SELECT {history_columns} FROM {given_records}
ON CONFLICT DO NOTHING
