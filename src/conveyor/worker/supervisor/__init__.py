"""The process that watches: it runs no user code, so that nothing a task does can hold it up."""
