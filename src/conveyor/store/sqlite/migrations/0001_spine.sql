CREATE TABLE conveyor_meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

INSERT INTO conveyor_meta (name, value) VALUES ('store_id', lower(hex(randomblob(16))));

-- Unfinished jobs. Times are microseconds of UTC, ids are 16 bytes.
CREATE TABLE conveyor_job (
    seq               INTEGER PRIMARY KEY,
    id                BLOB NOT NULL UNIQUE,
    token             INTEGER NOT NULL DEFAULT 0,
    run_after         INTEGER NOT NULL,
    enqueued_at       INTEGER NOT NULL,
    started_at        INTEGER,
    last_attempted_at INTEGER,
    timeout           INTEGER,
    runner            BLOB,
    priority          INTEGER NOT NULL,
    attempt           INTEGER NOT NULL DEFAULT 0,
    max_attempts      INTEGER NOT NULL,
    crashes           INTEGER NOT NULL DEFAULT 0,
    state             TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running')),
    task              TEXT NOT NULL,
    queue             TEXT NOT NULL,
    args              BLOB NOT NULL,
    attempts          BLOB
);

CREATE INDEX conveyor_job_fetch ON conveyor_job (queue, priority DESC, run_after);

CREATE TABLE conveyor_history (
    id                BLOB NOT NULL PRIMARY KEY,
    token             INTEGER NOT NULL,
    run_after         INTEGER NOT NULL,
    enqueued_at       INTEGER NOT NULL,
    started_at        INTEGER,
    last_attempted_at INTEGER,
    finished_at       INTEGER NOT NULL,
    run_time          INTEGER,
    timeout           INTEGER,
    runner            BLOB,
    priority          INTEGER NOT NULL,
    attempt           INTEGER NOT NULL,
    max_attempts      INTEGER NOT NULL,
    crashes           INTEGER NOT NULL,
    state             TEXT NOT NULL,
    task              TEXT NOT NULL,
    queue             TEXT NOT NULL,
    args              BLOB NOT NULL,
    attempts          BLOB,
    result            BLOB
);

CREATE INDEX conveyor_history_unsuccessful ON conveyor_history (state, id) WHERE state <> 'succeeded';

-- Who is registered. Whether a runner lives is not in here: its lease is a side file, which a long write
-- transaction of the user's cannot hold up.
CREATE TABLE conveyor_runner (
    id         BLOB NOT NULL PRIMARY KEY,
    started_at INTEGER NOT NULL,
    info       BLOB NOT NULL
);
