-- Locks by name. A row stays for ever, for its token must never be given twice. It is changed each few seconds while
-- the lock is held, and no index names what changes.
CREATE TABLE conveyor_lock (
    name       text PRIMARY KEY,
    token      bigint NOT NULL,
    owner      uuid NOT NULL,
    holder     text NOT NULL,
    taken_at   bigint NOT NULL,
    expires_at bigint NOT NULL,
    tied       bigint
) WITH (fillfactor = 60);
