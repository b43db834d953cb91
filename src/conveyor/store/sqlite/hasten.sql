UPDATE conveyor_job SET run_after = :now WHERE seq IN (SELECT value FROM json_each(:seqs))
