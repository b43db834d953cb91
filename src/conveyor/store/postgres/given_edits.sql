(SELECT * FROM json_to_recordset(CAST(CAST(:edits AS text) AS json)) AS given (
    name text, version bigint, spec text, declared text, next_at bigint, paused_at bigint, times bigint, overlap text))
