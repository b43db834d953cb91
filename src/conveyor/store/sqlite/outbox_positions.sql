(SELECT value FROM json_each(:positions))
