DELETE FROM conveyor_history WHERE rowid IN (SELECT value FROM json_each(:seqs))
