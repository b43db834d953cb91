-- Jobs for a store elsewhere, which joins no transaction here: they are inserted by the user's, and deleted once they are
-- there. Nothing of a row is ever changed.
CREATE TABLE conveyor_outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id       text NOT NULL,
    put_at   bigint NOT NULL,
    job      text NOT NULL
);

CREATE INDEX conveyor_outbox_id ON conveyor_outbox (id);

-- Which of them are being forwarded together, under a number of their own.
CREATE TABLE conveyor_outbox_batch (
    number    bigint PRIMARY KEY,
    positions text NOT NULL
);

-- Who forwards now, and until when; and the last number.
CREATE TABLE conveyor_relay (
    number      bigint NOT NULL,
    owner       text NOT NULL,
    owned_until bigint NOT NULL
) WITH (fillfactor = 50);

INSERT INTO conveyor_relay (number, owner, owned_until) VALUES (0, '', 0);
