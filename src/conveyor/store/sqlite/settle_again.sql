-- Whatever makes a job ready again sets its time to now: a claimer's lower bound may have passed the old one.
-- A job that is to be cancelled is not made ready again: the caller ends it.
UPDATE conveyor_job
SET state = 'waiting', token = token + (:flags >> 1 & 1), runner = NULL, run_after = max(:due, :now + :delay),
    attempt = attempt - (:flags >> 2 & 1), crashes = crashes + (:flags & 1), attempts = coalesce(:record, attempts)
WHERE id = :id AND token = :token AND runner = :runner AND state = 'running' AND cancelled IS NULL
