-- Jobs for stores elsewhere, which join no transaction here: they are inserted by the user's, and deleted once they are
-- there. Nothing of a row is ever changed. "target" is what a store calls itself.
CREATE TABLE conveyor_outbox (
    position bigint GENERATED ALWAYS AS IDENTITY,
    target   text NOT NULL,
    id       text NOT NULL,
    put_at   bigint NOT NULL,
    job      text NOT NULL,
    PRIMARY KEY (target, position)
);

CREATE INDEX conveyor_outbox_id ON conveyor_outbox (id);

-- Which of them are being forwarded together, under a number of their own.
CREATE TABLE conveyor_outbox_batch (
    target    text NOT NULL,
    number    bigint NOT NULL,
    positions text NOT NULL,
    PRIMARY KEY (target, number)
);

-- Who forwards now, and until when; and the last number.
CREATE TABLE conveyor_relay (
    target      text PRIMARY KEY,
    number      bigint NOT NULL,
    owner       text NOT NULL,
    owned_until bigint NOT NULL
) WITH (fillfactor = 50);
