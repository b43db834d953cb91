INSERT INTO conveyor_outbox (id, put_at, job)
SELECT json_extract(value, '$[0]'), :now, json_extract(value, '$[1]') FROM json_each(:rows) ORDER BY key
