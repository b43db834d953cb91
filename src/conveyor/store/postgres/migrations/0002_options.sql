-- The rarer options of a job, its progress, and the wish to cancel it. None of them is changed by a claim, but for
-- the unique key of a job that holds it until it starts.
ALTER TABLE conveyor_job
    ADD COLUMN expires_at  bigint,
    ADD COLUMN keep        bigint,
    ADD COLUMN extras      text,
    ADD COLUMN unique_key  text,
    ADD COLUMN until_start boolean NOT NULL DEFAULT false,
    ADD COLUMN cancelled   text,
    ADD COLUMN progress    bytea;

CREATE UNIQUE INDEX conveyor_job_unique ON conveyor_job (unique_key) WHERE unique_key IS NOT NULL;
CREATE INDEX conveyor_job_expires ON conveyor_job (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX conveyor_job_cancelled ON conveyor_job (cancelled) WHERE cancelled IS NOT NULL;

ALTER TABLE conveyor_history
    ADD COLUMN extras       text,
    ADD COLUMN unique_key   text,
    ADD COLUMN cancelled    text,
    ADD COLUMN progress     bytea,
    ADD COLUMN fingerprint  text,
    ADD COLUMN delete_after bigint;

UPDATE conveyor_history SET delete_after = finished_at + 2592000000000;

-- Rows arrive nearly in this order, so that a summary of each block range finds them, and costs a settle nothing.
CREATE INDEX conveyor_history_delete ON conveyor_history USING brin (delete_after)
    WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX conveyor_history_failures ON conveyor_history (fingerprint, id) WHERE fingerprint IS NOT NULL;

CREATE TABLE conveyor_queue (
    name      text PRIMARY KEY,
    paused_at bigint NOT NULL
);
