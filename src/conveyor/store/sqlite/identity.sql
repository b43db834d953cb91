SELECT value, (SELECT coalesce(max(number), 0) FROM conveyor_migration), '', 'serializable'
FROM conveyor_meta WHERE name = 'store_id'
