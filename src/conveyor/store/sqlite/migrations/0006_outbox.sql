-- Jobs for a store elsewhere, which joins no transaction here: they are inserted by the user's, and deleted once they are
-- there. Nothing of a row is ever changed.
CREATE TABLE conveyor_outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT NOT NULL,
    put_at   INTEGER NOT NULL,
    job      TEXT NOT NULL
);

CREATE INDEX conveyor_outbox_id ON conveyor_outbox (id);

-- Which of them are being forwarded together, under a number of their own.
CREATE TABLE conveyor_outbox_batch (
    number    INTEGER PRIMARY KEY,
    positions TEXT NOT NULL
);

-- Who forwards now, and until when; and the last number.
CREATE TABLE conveyor_relay (
    number      INTEGER NOT NULL,
    owner       TEXT NOT NULL,
    owned_until INTEGER NOT NULL
);

INSERT INTO conveyor_relay (number, owner, owned_until) VALUES (0, '', 0);
