DELETE FROM conveyor_job WHERE seq IN (
    SELECT j.seq FROM json_each(:rows) AS given
    CROSS JOIN conveyor_job j ON j.id = substr(:ids, given.key * 16 + 1, 16)
    WHERE j.token = json_extract(given.value, '$[0]') AND j.runner = substr(:runners, given.key * 16 + 1, 16)
      AND j.state = 'running' AND (:asked = 0 OR j.cancelled IS NOT NULL))
