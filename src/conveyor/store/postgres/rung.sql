-- NOTIFY takes a database-wide lock through the commit's fsync, so it is sent only while some claimer is idle.
{told} WHERE (SELECT last_value FROM conveyor_bell) > (SELECT now FROM clock) AND {room_to_ring}
