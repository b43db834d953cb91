-- Rules that make jobs; "next_at" is the cursor that only moves forward.
CREATE TABLE conveyor_schedule (
    name       TEXT PRIMARY KEY NOT NULL,
    spec       TEXT NOT NULL,
    declared   TEXT,
    next_at    INTEGER,
    tick       INTEGER,
    fired      INTEGER NOT NULL DEFAULT 0,
    times      INTEGER,
    overlap    TEXT NOT NULL,
    paused_at  INTEGER,
    job        BLOB,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE INDEX conveyor_schedule_next ON conveyor_schedule (next_at) WHERE next_at IS NOT NULL AND paused_at IS NULL;
