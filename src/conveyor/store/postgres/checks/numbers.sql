-- Jobs whose next claim would go beyond what a column holds. It reads the whole table.
SELECT CAST(id AS text), token, attempt FROM conveyor_job WHERE token >= 9223372036854775807 OR attempt >= 32767 LIMIT 3
