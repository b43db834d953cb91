-- Refuses what a closed store refuses; see store/moving.py. The mover itself says so, until its transaction ends.
CREATE OR REPLACE FUNCTION conveyor_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('conveyor.moving', true), '') <> 'on' THEN
        RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'CV001';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
$$
