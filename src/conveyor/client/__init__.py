"""What a process that enqueues does: send calls to the store, look at jobs, and change what waits."""
