-- The number of a name among the server's advisory locks, which are the whole database's: no other schema's.
hashtextextended(CAST(:lock AS text), CAST(CAST(CAST('conveyor_lock' AS regclass) AS oid) AS bigint))
