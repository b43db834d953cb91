-- History becomes partitioned in three steps, so that none of them keeps anybody from working for longer than a moment,
-- and workers of the version before go on through all of them. This one changes nothing but the catalogue.
--
-- The shelf of an ended job is where in history it lies:
--     0             it had ended before history was partitioned
--     1             it goes by itself: kept for less than a day, for more than 366, or for ever
--     its time      kept for 1 to 31 days: it goes with all whose time comes on that day
--     2^61 + time   kept for longer: it goes with all whose time comes in those four weeks
CREATE FUNCTION conveyor_shelf(early boolean, finished_at bigint, delete_after bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN early THEN 0
        WHEN delete_after - finished_at BETWEEN 86400000000 AND 2678400000000 THEN delete_after
        WHEN delete_after - finished_at BETWEEN 2678400000001 AND 31622400000000 THEN 2305843009213693952 + delete_after
        ELSE 1
    END;

-- True of all that this table holds or ever will: nothing is wrong if the next steps are long in coming.
ALTER TABLE conveyor_history
    ADD COLUMN early boolean NOT NULL DEFAULT true,
    ADD CONSTRAINT conveyor_history_early CHECK (
        conveyor_shelf(early, finished_at, delete_after) IS NOT NULL
        AND conveyor_shelf(early, finished_at, delete_after) < 1
    ) NOT VALID;
