INSERT INTO conveyor_outbox (target, id, put_at, job)
SELECT :target, json_extract(value, '$[0]'), :now, json_extract(value, '$[1]') FROM json_each(:rows) ORDER BY key
