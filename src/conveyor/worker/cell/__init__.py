"""Processes that run one job at a time: the runner's side of them, and their own."""
