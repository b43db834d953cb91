"""What a worker does: small equal services, one file each."""
