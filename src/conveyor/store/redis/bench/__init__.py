"""Measuring on Redis: see ``store.ground``. Nothing that works on jobs imports this."""
