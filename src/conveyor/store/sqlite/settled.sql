-- Whether this outcome is written: the answer to an earlier settle may have been lost.
SELECT h.id FROM conveyor_history h WHERE h.id = :id AND h.token = :token
UNION ALL
SELECT j.id FROM conveyor_job j WHERE j.id = :id AND j.token = :token AND j.state = 'waiting'
