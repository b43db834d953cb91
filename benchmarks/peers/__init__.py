"""One driver for each library, all speaking the small protocol of common.py."""
