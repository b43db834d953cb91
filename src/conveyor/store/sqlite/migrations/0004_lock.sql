-- Locks by name. A row stays for ever, for its token must never be given twice.
CREATE TABLE conveyor_lock (
    name       TEXT PRIMARY KEY,
    token      INTEGER NOT NULL,
    owner      BLOB NOT NULL,
    holder     TEXT NOT NULL,
    taken_at   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    tied       INTEGER
);
