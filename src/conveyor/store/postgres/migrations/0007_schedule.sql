-- Rules that make jobs. They are few, and written at each of their ticks; "next_at" is the cursor that only moves
-- forward: whoever moves it makes the job, in one statement.
CREATE TABLE conveyor_schedule (
    name       text PRIMARY KEY,
    spec       text NOT NULL,
    declared   text,
    next_at    bigint,
    tick       bigint,
    fired      bigint NOT NULL DEFAULT 0,
    times      bigint,
    overlap    text NOT NULL,
    paused_at  bigint,
    job        uuid,
    version    bigint NOT NULL,
    created_at bigint NOT NULL
) WITH (fillfactor = 50);

CREATE INDEX conveyor_schedule_next ON conveyor_schedule (next_at) WHERE next_at IS NOT NULL AND paused_at IS NULL;
