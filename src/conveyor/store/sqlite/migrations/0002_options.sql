-- The rarer options of a job, its progress, and the wish to cancel it.
ALTER TABLE conveyor_job ADD COLUMN expires_at INTEGER;
ALTER TABLE conveyor_job ADD COLUMN keep INTEGER;
ALTER TABLE conveyor_job ADD COLUMN extras TEXT;
ALTER TABLE conveyor_job ADD COLUMN unique_key TEXT;
ALTER TABLE conveyor_job ADD COLUMN until_start INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conveyor_job ADD COLUMN cancelled TEXT;
ALTER TABLE conveyor_job ADD COLUMN progress BLOB;

CREATE UNIQUE INDEX conveyor_job_unique ON conveyor_job (unique_key) WHERE unique_key IS NOT NULL;
CREATE INDEX conveyor_job_expires ON conveyor_job (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX conveyor_job_cancelled ON conveyor_job (cancelled) WHERE cancelled IS NOT NULL;

ALTER TABLE conveyor_history ADD COLUMN extras TEXT;
ALTER TABLE conveyor_history ADD COLUMN unique_key TEXT;
ALTER TABLE conveyor_history ADD COLUMN cancelled TEXT;
ALTER TABLE conveyor_history ADD COLUMN progress BLOB;
ALTER TABLE conveyor_history ADD COLUMN fingerprint TEXT;
ALTER TABLE conveyor_history ADD COLUMN delete_after INTEGER;

UPDATE conveyor_history SET delete_after = finished_at + 2592000000000;

CREATE INDEX conveyor_history_delete ON conveyor_history (delete_after) WHERE delete_after IS NOT NULL;
CREATE INDEX conveyor_history_failures ON conveyor_history (fingerprint, id) WHERE fingerprint IS NOT NULL;

CREATE TABLE conveyor_queue (
    name      TEXT PRIMARY KEY,
    paused_at INTEGER NOT NULL
);
