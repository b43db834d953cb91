(SELECT substr(:ids, given.key * 16 + 1, 16) AS id, json_extract(given.value, '$.task') AS task,
        json_extract(given.value, '$.queue') AS queue, json_extract(given.value, '$.priority') AS priority,
        max(json_extract(given.value, '$.due'), :now + json_extract(given.value, '$.delay'))
            + json_extract(given.value, '$.place') AS run_after,
        json_extract(given.value, '$.max_attempts') AS max_attempts, json_extract(given.value, '$.timeout') AS timeout,
        CAST(json_extract(given.value, '$.args') AS BLOB) AS args, json_extract(given.value, '$.expires') AS expires,
        json_extract(given.value, '$.keep') AS keep, json_extract(given.value, '$.extras') AS extras,
        json_extract(given.value, '$.unique_key') AS unique_key,
        json_extract(given.value, '$.until_start') AS until_start, json_extract(given.value, '$.place') AS place
 FROM json_each(:rows) AS given)
