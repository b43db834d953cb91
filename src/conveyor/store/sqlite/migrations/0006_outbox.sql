-- Jobs for stores elsewhere, which join no transaction here: they are inserted by the user's, and deleted once they are
-- there. Nothing of a row is ever changed. "target" is what a store calls itself.
CREATE TABLE conveyor_outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    target   TEXT NOT NULL,
    id       TEXT NOT NULL,
    put_at   INTEGER NOT NULL,
    job      TEXT NOT NULL
);

CREATE INDEX conveyor_outbox_target ON conveyor_outbox (target, position);
CREATE INDEX conveyor_outbox_id ON conveyor_outbox (id);

-- Which of them are being forwarded together, under a number of their own.
CREATE TABLE conveyor_outbox_batch (
    target    TEXT NOT NULL,
    number    INTEGER NOT NULL,
    positions TEXT NOT NULL,
    PRIMARY KEY (target, number)
);

-- Who forwards now, and until when; and the last number.
CREATE TABLE conveyor_relay (
    target      TEXT PRIMARY KEY,
    number      INTEGER NOT NULL,
    owner       TEXT NOT NULL,
    owned_until INTEGER NOT NULL
);
