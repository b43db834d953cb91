DELETE FROM conveyor_history WHERE rowid IN (SELECT value FROM json_each(:seqs))
  AND EXISTS (SELECT 1 FROM conveyor_job j WHERE j.id = conveyor_history.id)
