-- Ended jobs lie in partitions, one for each stretch of the shelf, and each is dropped whole when the time of all that
-- is in it has come. What has no partition, for none was made in time, lies in conveyor_past_stray and goes by itself.
CREATE TABLE conveyor_past (LIKE conveyor_history)
    PARTITION BY RANGE (conveyor_shelf(early, finished_at, delete_after));
ALTER TABLE conveyor_past ALTER COLUMN early SET DEFAULT false;

-- The parent has no index: so a partition can be made whole, with its own, before anybody must wait for it.
CREATE TABLE conveyor_past_loose (LIKE conveyor_past INCLUDING DEFAULTS, PRIMARY KEY (id)) WITH (
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX ON conveyor_past_loose (state, id) WHERE state <> 'succeeded';
CREATE INDEX ON conveyor_past_loose (fingerprint, id) WHERE fingerprint IS NOT NULL;
CREATE INDEX ON conveyor_past_loose (delete_after) WHERE delete_after IS NOT NULL;
ALTER TABLE conveyor_past ATTACH PARTITION conveyor_past_loose FOR VALUES FROM (1) TO (2);

CREATE TABLE conveyor_past_stray (LIKE conveyor_past INCLUDING DEFAULTS, PRIMARY KEY (id));
CREATE INDEX ON conveyor_past_stray (state, id) WHERE state <> 'succeeded';
CREATE INDEX ON conveyor_past_stray (fingerprint, id) WHERE fingerprint IS NOT NULL;
CREATE INDEX ON conveyor_past_stray (conveyor_shelf(early, finished_at, delete_after));
ALTER TABLE conveyor_past ATTACH PARTITION conveyor_past_stray DEFAULT;

-- The partitions that there are, and from where to where on the shelf each goes.
CREATE VIEW conveyor_partition AS
SELECT c.oid AS id, CAST(c.relname AS text) AS name, CAST(ends[1] AS bigint) AS low, CAST(ends[2] AS bigint) AS high
FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
CROSS JOIN LATERAL (
    SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(\d+)''\) TO \(''(\d+)''\)') AS ends
) AS bounds
WHERE inhparent = CAST('conveyor_past' AS regclass);

-- Those that there should be and are not. Each is made when it is the farthest that is needed, and three days more, so
-- that one bad night does no harm; so a new store has few, and one that is a month old has all. The nearer ones are
-- made before that when a job lies astray for want of them; those of four weeks not before. None for a stretch of which
-- a stray job is a part: to move it would be to hide it from those who look for it at that moment.
CREATE VIEW conveyor_partition_wanted AS
WITH there AS MATERIALIZED (SELECT low FROM conveyor_partition WHERE low > 1),
stray AS NOT MATERIALIZED (SELECT conveyor_shelf(early, finished_at, delete_after) AS shelf FROM conveyor_past_stray)
SELECT format('conveyor_past_%s%s', letter, to_char(to_timestamp(start / 1000000) AT TIME ZONE 'UTC', 'YYYYMMDD'))
       AS name, base + start AS low, base + start + length AS high
FROM (VALUES ('d', 0, 86400000000, 30, 34), ('m', 2305843009213693952, 2419200000000, 14, 15))
     AS lane (letter, base, length, far, farthest)
CROSS JOIN generate_series(0, farthest) AS place
CROSS JOIN LATERAL (SELECT (conveyor_now() / length + place) * length AS start) AS stretch
WHERE (place >= far AND (base = 0 OR EXISTS (SELECT FROM there WHERE low >= base))
       OR EXISTS (SELECT FROM stray WHERE shelf >= base AND shelf < base + 2305843009213693952))
  AND NOT EXISTS (SELECT FROM there WHERE low = base + start)
  AND NOT EXISTS (SELECT FROM stray WHERE shelf >= base + start AND shelf < base + start + length);

-- Whether somebody holds one of the tables and goes on to: a report, a dump, a transaction that nobody ends.
CREATE FUNCTION conveyor_occupied(tables oid[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    holders text[];
BEGIN
    holders := ARRAY(SELECT virtualtransaction FROM pg_locks
                     WHERE relation = ANY (tables) AND granted AND pid <> pg_backend_pid());
    IF cardinality(holders) = 0 THEN
        RETURN false;
    END IF;
    PERFORM pg_sleep(0.1);
    RETURN EXISTS (SELECT FROM pg_locks
                   WHERE relation = ANY (tables) AND granted AND virtualtransaction = ANY (holders));
END
$$;

-- Makes the partitions that are wanted and drops those that are over, with the rights of the tables' owner: a worker
-- need not have them. All who end jobs must wait for it. So it is done when nobody occupies the tables, gives up after
-- a tenth of a second of waiting, and then leaves everything as it was, for the next round.
CREATE FUNCTION conveyor_arrange(OUT made integer, OUT dropped integer, OUT held boolean)
    LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '100ms'
AS $$
DECLARE
    tables oid[];
    wanted conveyor_partition_wanted[];
    over text[];
    part conveyor_partition_wanted;
    name text;
BEGIN
    made := 0; dropped := 0; held := false;
    IF NOT pg_try_advisory_xact_lock(1668248182, 1) THEN
        RETURN;
    END IF;
    SELECT array_agg(p.id) || CAST(CAST('conveyor_past' AS regclass) AS oid),
           array_agg(p.name) FILTER (WHERE p.high % 2305843009213693952 BETWEEN 3 AND conveyor_now()
                                           OR p.name = 'conveyor_past_before' AND pg_relation_size(p.id) = 0)
    INTO tables, over FROM conveyor_partition p;
    IF pg_relation_size('conveyor_past_stray') < 268435456 THEN  -- all that is astray is read for each partition
        wanted := ARRAY(SELECT w FROM conveyor_partition_wanted w
                        ORDER BY low LIMIT greatest(65 - cardinality(tables), 0));
    ELSE
        wanted := '{}';
    END IF;
    IF cardinality(wanted) = 0 AND over IS NULL THEN
        RETURN;
    END IF;
    held := conveyor_occupied(tables);
    IF held THEN
        RETURN;
    END IF;
    FOREACH part IN ARRAY wanted LOOP
        EXECUTE format('CREATE TABLE %I (LIKE conveyor_past INCLUDING DEFAULTS, PRIMARY KEY (id))', part.name);
        EXECUTE format('CREATE INDEX ON %I (state, id) WHERE state <> ''succeeded''', part.name);
        EXECUTE format('CREATE INDEX ON %I (fingerprint, id) WHERE fingerprint IS NOT NULL', part.name);
    END LOOP;
    LOCK TABLE conveyor_past IN ACCESS EXCLUSIVE MODE;
    FOREACH part IN ARRAY wanted LOOP
        EXECUTE format('ALTER TABLE conveyor_past ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                       part.name, part.low, part.high);
    END LOOP;
    FOREACH name IN ARRAY coalesce(over, '{}') LOOP
        EXECUTE format('DROP TABLE %I', name);
    END LOOP;
    made := cardinality(wanted); dropped := coalesce(cardinality(over), 0);
EXCEPTION WHEN lock_not_available OR deadlock_detected OR check_violation THEN
    made := 0; dropped := 0; held := true;
END
$$;

-- What conveyor doctor asks: how many partitions there are, for how long they will do, how many should be gone, and
-- how many jobs lie astray (no more than that are counted).
CREATE FUNCTION conveyor_arranged(most integer, OUT there bigint, OUT ahead bigint, OUT overdue bigint, OUT stray bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
AS $$
    SELECT count(*),
           max(high) FILTER (WHERE low BETWEEN 2 AND 2305843009213693951) - conveyor_now() - 2678400000000,
           count(*) FILTER (WHERE high % 2305843009213693952 BETWEEN 3 AND conveyor_now() - 86400000000),
           (SELECT count(*) FROM (SELECT FROM conveyor_past_stray LIMIT most) AS found)
    FROM conveyor_partition
$$;

-- History as everybody reads and writes it. Workers of the version before name its rows by ctid, and a row's true ctid
-- is another row's as well, in another partition: so what is called so here is the id.
CREATE VIEW conveyor_history_view AS
SELECT id, token, run_after, enqueued_at, started_at, last_attempted_at, finished_at, run_time, timeout, runner,
       priority, attempt, max_attempts, crashes, state, task, queue, args, attempts, result, extras, unique_key,
       cancelled, progress, fingerprint, delete_after,
       conveyor_shelf(early, finished_at, delete_after) AS shelf, id AS ctid
FROM conveyor_past;

-- One job of history. A plan over all partitions takes longer to make than to carry out: here it is made once in a
-- session. It must not be made for tables that are empty yet, and read them from end to end.
CREATE FUNCTION conveyor_ended(wanted uuid) RETURNS SETOF conveyor_history_view
    LANGUAGE plpgsql STABLE ROWS 1 SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
AS $$
BEGIN
    RETURN QUERY SELECT * FROM conveyor_history WHERE id = wanted LIMIT 1;
END
$$;

-- Whoever could do something with history still can.
DO $$
DECLARE
    owner text;
    part text;
    given record;
BEGIN
    SELECT quote_ident(pg_get_userbyid(relowner)) INTO owner FROM pg_class
    WHERE oid = CAST('conveyor_history' AS regclass);
    FOR part IN SELECT unnest(ARRAY[
        'TABLE conveyor_past', 'TABLE conveyor_past_loose', 'TABLE conveyor_past_stray', 'VIEW conveyor_partition',
        'VIEW conveyor_partition_wanted', 'VIEW conveyor_history_view', 'FUNCTION conveyor_occupied(oid[])',
        'FUNCTION conveyor_arrange()', 'FUNCTION conveyor_arranged(integer)', 'FUNCTION conveyor_ended(uuid)',
        'FUNCTION conveyor_shelf(boolean, bigint, bigint)'])
    LOOP
        EXECUTE format('ALTER %s OWNER TO %s', part, owner);
    END LOOP;
    FOREACH part IN ARRAY '{conveyor_arrange(),conveyor_arranged(integer)}'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', part, current_schema());
    END LOOP;
    FOR given IN
        SELECT privilege_type, is_grantable,
               CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS grantee
        FROM pg_class CROSS JOIN LATERAL aclexplode(relacl)
        WHERE oid = CAST('conveyor_history' AS regclass)
          AND privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    LOOP
        EXECUTE format('GRANT %s ON conveyor_history_view TO %s%s', given.privilege_type, given.grantee,
                       CASE WHEN given.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
END
$$;
SELECT conveyor_arrange();

-- From here on everybody waits; nothing is read or copied any more.
LOCK TABLE conveyor_history IN ACCESS EXCLUSIVE MODE;
DO $$
BEGIN
    IF EXISTS (SELECT FROM conveyor_history) THEN
        ALTER TABLE conveyor_history RENAME TO conveyor_past_before;
        ALTER TABLE conveyor_past ATTACH PARTITION conveyor_past_before FOR VALUES FROM (MINVALUE) TO (1);
        ALTER TABLE conveyor_past_before DROP CONSTRAINT conveyor_history_early;
    ELSE
        DROP TABLE conveyor_history;
    END IF;
    ALTER VIEW conveyor_history_view RENAME TO conveyor_history;
END
$$;
