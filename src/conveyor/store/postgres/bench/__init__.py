"""Measuring on PostgreSQL: see ``store.ground``. Nothing that works on jobs imports this."""
