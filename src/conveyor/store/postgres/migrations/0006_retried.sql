-- Jobs that wait for another attempt are few among those that are scheduled. A claim changes no column of this index.
CREATE INDEX conveyor_job_retried ON conveyor_job (queue, run_after) WHERE attempts IS NOT NULL;
