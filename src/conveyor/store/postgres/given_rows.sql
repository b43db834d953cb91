(SELECT * FROM json_to_recordset(CAST(CAST(:rows AS text) AS json)) AS given (
    id uuid, task text, queue text, priority smallint, due bigint, delay bigint, place bigint, max_attempts smallint,
    timeout bigint, args text, expires bigint, keep bigint, extras text, unique_key text, until_start boolean, schedule text))
