UPDATE conveyor_job SET progress = :progress
WHERE id = :id AND token = :token AND runner = :runner AND state = 'running'
