DELETE FROM conveyor_job WHERE id IN (SELECT substr(:ids, key * 16 + 1, 16) FROM json_each(:places))
