-- A dead runner's row stays for a while, so that rescue keeps looking for claims that were in flight.
DELETE FROM conveyor_runner WHERE expires_at < conveyor_now() - :grace
