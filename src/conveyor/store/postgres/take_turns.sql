-- Two calls that want the same keys would wait for each other in a circle once one of them has to look a second time,
-- for a key whose holder has just gone, while it holds others. Few numbers, so that a call of thousands of keys does
-- not fill the server's table of locks; in their order, and for the transaction only.
WITH wanted AS MATERIALIZED (
    SELECT DISTINCT hashtext(given.unique_key) & 63 AS number
    FROM json_array_elements_text(CAST(CAST(:keys AS text) AS json)) AS given (unique_key),
         (SELECT {patience}) AS patience
    ORDER BY number
)
SELECT CAST(pg_advisory_xact_lock(1668247158, number) AS text) FROM wanted
