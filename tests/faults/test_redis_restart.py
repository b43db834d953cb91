"""D01 on Redis: the server is killed, or stopped, and started again on its data: nothing that was accepted is lost.

With ``appendfsync always`` that is so however it ends; with ``everysec`` when it is told to end.
"""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.faults.test_server_restart import survives
from tests.support.redis import RedisServer, versions
from tests.support.say import Say
from tests.support.stores import sound
from tests.support.yard import Yard

HOW = {"killed": "always", "stopped": "everysec"}
"""How the server ends, and how often it writes."""
End = Callable[[RedisServer], None]


@pytest.fixture(params=HOW)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server of our own, which writes down what it does."""
    with RedisServer(versions()[0], appendonly="yes", appendfsync=HOW[request.param]) as started:
        yield started


@pytest.fixture
def end(request: pytest.FixtureRequest) -> End:
    """How it is to end."""
    return RedisServer.kill if request.node.callspec.params["server"] == "killed" else RedisServer.stop


@pytest.fixture
def yard(server: RedisServer, tmp_path: Path) -> Iterator[Yard]:
    made = Yard(server.url(), tmp_path)
    yield made
    made.close()


def outage(server: RedisServer, end: End, seconds: float) -> float:
    """End the server, and start it *seconds* later; when it was back."""
    end(server)
    threading.Event().wait(seconds)
    server.start()
    return time.monotonic()


def test_no_job_is_lost_or_started_twice_when_the_server_ends(
    server: RedisServer, end: End, yard: Yard, say: Say
) -> None:
    say(survives(yard, [partial(outage, server, end, seconds) for seconds in (0, 0, 2)], 4.0))
    assert sound(yard.store) == []


@pytest.mark.soak
def test_no_job_is_lost_or_started_twice_when_the_server_ends_sixty_times(
    server: RedisServer, end: End, yard: Yard, say: Say
) -> None:
    say(survives(yard, [partial(outage, server, end, seconds) for seconds in (0, 1) * 30], 60.0))
    assert sound(yard.store) == []
