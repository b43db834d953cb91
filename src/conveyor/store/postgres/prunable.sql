-- The conditions of prune.sql.
SELECT (SELECT count(*) FROM conveyor_history WHERE shelf < 2 AND delete_after <= (SELECT conveyor_now()))
     + (SELECT count(*) FROM conveyor_history WHERE shelf >= 2 AND shelf < (SELECT conveyor_now() - 172800000000))
     + (SELECT count(*) FROM conveyor_history
        WHERE shelf >= 2305843009213693952
          AND shelf < (SELECT 2305843009213693952 + conveyor_now() - 2592000000000))
