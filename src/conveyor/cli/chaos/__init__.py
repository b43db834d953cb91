"""``conveyor chaos``. The command is in ``command.py``: the workers that are broken need none of it."""
