INSERT INTO conveyor_meta (name, value) VALUES ('move', :mark) ON CONFLICT (name) DO UPDATE SET value = excluded.value
