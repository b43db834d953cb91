UPDATE conveyor_job SET cancelled = :reason WHERE seq IN (SELECT value FROM json_each(:seqs))
