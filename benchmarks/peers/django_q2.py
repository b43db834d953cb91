"""Django-Q2 with Django's database as its broker."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connections, transaction

from benchmarks.peers import common

BULK = 50
QUEUE = 100
POLL = 0.01

# Its calls are blocking ones; in this process nothing else wants the loop meanwhile.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"


def database(url: str) -> dict[str, object]:
    """Django's words for *url*."""
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username,
        "HOST": parts.hostname,
        "PORT": parts.port,
        "CONN_MAX_AGE": None,  # else it connects anew for each job
    }


def configure(url: str, cluster: dict[str, object]) -> None:
    """Make a Django of nothing else; its workers import this module once more."""
    settings.configure(
        SECRET_KEY="of no use to anyone",  # noqa: S106 - a benchmark on this machine signs with it
        INSTALLED_APPS=["django.contrib.contenttypes", "django_q"],
        DATABASES={"default": database(url)},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        USE_TZ=True,
        Q_CLUSTER={"name": "compare", "orm": "default", "log_level": "WARNING", **cluster},
    )
    django.setup()


TUNED = {"bulk": BULK, "queue_limit": QUEUE, "poll": POLL, "save_limit": 0, "timeout": 50, "retry": 60}
if not settings.configured:
    configure(os.environ[common.URL], {} if common.AS_IT_COMES in sys.argv else TUNED)

from django_q.tasks import async_task  # noqa: E402 - it reads Django's settings when it is imported


def stamp(sent: int) -> None:
    """Say that it has started."""
    common.hit(sent)
    if sent == common.NAP:
        time.sleep(common.NAP_SECONDS)


class Driver(common.Driver):
    """Blocking calls: where callers enqueue at a time, each is a thread with a connection of its own."""

    threads: ThreadPoolExecutor

    def about(self) -> common.About:
        """See the base class."""
        return {
            "version": version("django-q2"),
            "settings": f"ORM broker, `bulk={BULK}`, `queue_limit={QUEUE}`, `poll={POLL}`, `save_limit=0` (keep all), "
            f"`retry=60`, a worker for each core, `CONN_MAX_AGE=None`, psycopg (binary), Django {django.__version__}",
            "unfinished": "SELECT count(*) FROM django_q_ormq",
            "kept": "SELECT count(*) FROM django_q_task WHERE success",
        }

    async def setup(self) -> None:
        """See the base class."""
        call_command("migrate", verbosity=0)

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """See the base class."""
        with ThreadPoolExecutor(100) as self.threads:
            yield

    async def one(self, sent: int) -> None:
        """See the base class."""
        async_task("benchmarks.peers.django_q2.stamp", sent)

    async def many(self, sent: Sequence[int]) -> None:
        """See the base class: it has no such call, and one transaction is the quickest there is."""
        with transaction.atomic():
            for each in sent:
                async_task("benchmarks.peers.django_q2.stamp", each)

    async def callers(self, number: int, seconds: float) -> int:
        """See the base class."""
        end = time.monotonic() + seconds

        def caller() -> int:
            done = 0
            while time.monotonic() < end:
                async_task("benchmarks.peers.django_q2.stamp", 0)
                done += 1
            return done

        loop = asyncio.get_running_loop()
        return sum(await asyncio.gather(*(loop.run_in_executor(self.threads, caller) for _ in range(number))))

    def work(self, *, as_it_comes: bool) -> None:  # noqa: ARG002 - it was read when Django was configured
        """See the base class."""
        connections.close_all()
        call_command("qcluster")


if __name__ == "__main__":
    common.main(Driver, asyncio.run)
