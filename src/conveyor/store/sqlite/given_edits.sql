(SELECT json_extract(value, '$.name') AS name, json_extract(value, '$.version') AS version,
        json_extract(value, '$.spec') AS spec, json_extract(value, '$.declared') AS declared,
        json_extract(value, '$.next_at') AS next_at, json_extract(value, '$.paused_at') AS paused_at,
        json_extract(value, '$.times') AS times, json_extract(value, '$.overlap') AS overlap
 FROM json_each(:edits))
