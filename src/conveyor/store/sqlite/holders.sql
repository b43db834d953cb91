SELECT unique_key, lower(hex(id)) FROM conveyor_job WHERE unique_key IN (SELECT value FROM json_each(:keys))
