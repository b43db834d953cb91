SELECT value, (SELECT coalesce(max(number), 0) FROM conveyor_migration), CAST(transaction_timestamp() AS text),
       current_setting('transaction_isolation')
FROM conveyor_meta WHERE name = 'store_id'
