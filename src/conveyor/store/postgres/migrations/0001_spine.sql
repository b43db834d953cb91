-- The clock that decides what is due and what has expired: microseconds of UTC.
CREATE FUNCTION conveyor_now() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE
    RETURN (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

CREATE TABLE conveyor_meta (
    name  text PRIMARY KEY,
    value text NOT NULL
);

INSERT INTO conveyor_meta (name, value) VALUES ('store_id', gen_random_uuid()::text);

-- Unfinished jobs. A claim must stay a HOT update: no index may name a column that it changes,
-- and the fill factor leaves room for the new version on the same page.
CREATE TABLE conveyor_job (
    id                uuid PRIMARY KEY,
    token             bigint NOT NULL DEFAULT 0,
    run_after         bigint NOT NULL,
    enqueued_at       bigint NOT NULL,
    started_at        bigint,
    last_attempted_at bigint,
    timeout           bigint,
    runner            uuid,
    priority          smallint NOT NULL,
    attempt           smallint NOT NULL DEFAULT 0,
    max_attempts      smallint NOT NULL,
    crashes           smallint NOT NULL DEFAULT 0,
    state             text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running')),
    task              text NOT NULL,
    queue             text NOT NULL,
    args              bytea NOT NULL,
    attempts          bytea
) WITH (
    fillfactor = 60,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

-- It must not contain id. While another session holds a snapshot, ANALYZE sets reltuples to 0, and the planner
-- then answers "id = ?" by walking any index that has id as a trailing column.
CREATE INDEX conveyor_job_fetch ON conveyor_job (queue, priority DESC, run_after);

CREATE TABLE conveyor_history (
    id                uuid PRIMARY KEY,
    token             bigint NOT NULL,
    run_after         bigint NOT NULL,
    enqueued_at       bigint NOT NULL,
    started_at        bigint,
    last_attempted_at bigint,
    finished_at       bigint NOT NULL,
    run_time          bigint,
    timeout           bigint,
    runner            uuid,
    priority          smallint NOT NULL,
    attempt           smallint NOT NULL,
    max_attempts      smallint NOT NULL,
    crashes           smallint NOT NULL,
    state             text NOT NULL,
    task              text NOT NULL,
    queue             text NOT NULL,
    args              bytea NOT NULL,
    attempts          bytea,
    result            bytea
);

-- What went wrong is looked for far more often than it happens.
CREATE INDEX conveyor_history_unsuccessful ON conveyor_history (state, id) WHERE state <> 'succeeded';

-- One lease per runner, not per job: a beat is one small write, however many jobs it keeps.
CREATE TABLE conveyor_runner (
    id         uuid PRIMARY KEY,
    expires_at bigint NOT NULL,
    started_at bigint NOT NULL,
    info       bytea NOT NULL
) WITH (fillfactor = 50);

-- "Notify until", in microseconds. A sequence leaves no dead rows and is never read through a stale snapshot.
CREATE SEQUENCE conveyor_bell MINVALUE 0 START 0;
