"""``conveyor bench``. The command is in ``command.py``: the workers that are measured need none of it."""
