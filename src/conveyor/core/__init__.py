"""Facts and pure decisions; this floor imports nothing of ours but itself, and performs no I/O."""
