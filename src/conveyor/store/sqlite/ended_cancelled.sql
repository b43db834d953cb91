SELECT h.id FROM json_each(:rows) AS given
CROSS JOIN conveyor_history h ON h.id = substr(:ids, given.key * 16 + 1, 16)
WHERE h.token = json_extract(given.value, '$[0]') + (json_extract(given.value, '$[1]') >> 1 & 1)
  AND h.state = 'cancelled'
