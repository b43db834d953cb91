"""Celery as in celery.py, but with the settings by which its documentation has a lost worker's task run again."""

import asyncio

from benchmarks.peers import celery, common

app = celery.app
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)


class Driver(celery.Driver):
    """For the killed worker alone. The message comes back after the visibility timeout: an hour, as by default."""

    app = "benchmarks.peers.celery_late:app"
    pool = "prefork"
    acks = "`task_acks_late=True`, `task_reject_on_worker_lost=True`, visibility timeout 1 h (its default)"


if __name__ == "__main__":
    common.main(Driver, asyncio.run)
