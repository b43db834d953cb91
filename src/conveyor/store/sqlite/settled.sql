-- Of these, the ones whose outcome is written: the answer to an earlier settle may have been lost.
SELECT h.id FROM json_each(:rows) AS given
CROSS JOIN conveyor_history h ON h.id = substr(:ids, given.key * 16 + 1, 16)
WHERE h.token = json_extract(given.value, '$[0]') + (json_extract(given.value, '$[1]') >> 1 & 1)
UNION ALL
SELECT j.id FROM json_each(:rows) AS given
CROSS JOIN conveyor_job j ON j.id = substr(:ids, given.key * 16 + 1, 16)
WHERE j.token = json_extract(given.value, '$[0]') + (json_extract(given.value, '$[1]') >> 1 & 1) AND j.state = 'waiting'
