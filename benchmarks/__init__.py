"""Figures of Conveyor and of its peers, and the command that makes them."""
