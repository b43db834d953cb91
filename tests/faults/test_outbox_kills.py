"""D19: workers that forward from an outbox are killed with -9 in the middle of it, and so is Redis.

Often, and on SQLite as well, in test_chaos_long.py.
"""

import os
import sys
from pathlib import Path
from typing import cast

import pytest
import redis

from conveyor.cli.chaos import tree
from conveyor.cli.chaos.server import Server, cannot_serve
from tests.e2e.conftest import terminal
from tests.support.chaos import found, with_redis
from tests.support.cli import Terminal

__all__ = ["terminal"]

KILLS = 3
TORN = 500
"""Bytes that were not written any more when the server was killed."""


@pytest.mark.timeout(200)
def test_nothing_is_lost_or_doubled_on_the_way(
    terminal: Terminal, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.environment["PATH"] = with_redis(os.environ["PATH"])
    told = found(terminal, "D19", "--rounds", str(KILLS), "--store", postgres_url)["D19"]
    with capsys.disabled():
        sys.stdout.write(f"\noutbox: {KILLS} kills, {told['accepted']:,} accepted, {told['lost']} lost ")
    assert (told["outcome"], told["faults"], told["lost"]) == ("ok", KILLS, 0)
    assert cast(int, told["accepted"]) > KILLS


def test_a_server_that_is_killed_keeps_whole_calls_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", with_redis(os.environ["PATH"]))
    with (
        Server(tmp_path, {**os.environ, tree.RUN: str(tmp_path)}) as server,
        redis.Redis.from_url(server.url.partition("?")[0]) as client,
    ):
        assert len(tree.family(tree.RUN, str(tmp_path))) == 1
        client.set("whole", 1)
        client.eval("for n = 1, 50 do redis.call('SET', 'torn:' .. n, 'x') end", 0)
        server.kill()
        file = max(tmp_path.rglob("*.aof"), key=lambda path: path.stat().st_mtime_ns)
        os.truncate(file, file.stat().st_size - TORN)
        server.start()
        client.set("later", 1)
        server.kill()
        server.start()
        assert {key.decode() for key in client.scan_iter()} == {"whole", "later"}
    assert tree.family(tree.RUN, str(tmp_path)) == {}


def test_without_a_program_there_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "there is no valkey-server or redis-server here" in cannot_serve()
