-- Whatever makes a job ready again sets its time to now: a claimer's lower bound may have passed the old one.
UPDATE conveyor_job
SET state = 'waiting', token = token + :fence, runner = NULL, run_after = :now + :delay, attempt = attempt - :back,
    crashes = crashes + :crash, attempts = coalesce(:record, attempts)
WHERE id = :id AND token = :token AND runner = :runner AND state = 'running'
