{arriving} ON CONFLICT (id) DO NOTHING
