"""Plans for each kind of database, and the stores that carry them out."""
