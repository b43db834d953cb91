"""The event loop beside a test that blocks."""

import asyncio
import threading

import pytest

from conveyor.testing.home import Home, beside


def test_what_is_submitted_runs_in_the_thread_that_serves() -> None:
    home, here = Home(), threading.get_ident()

    async def work() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        return threading.get_ident(), await loop.run_in_executor(home, threading.get_ident)

    there, at_home = beside(home, work(), asyncio.run)
    assert at_home == here != there


def test_what_is_raised_belongs_to_who_waits() -> None:
    home = Home()

    def leave() -> None:
        raise SystemExit

    async def work() -> None:
        with pytest.raises(SystemExit):
            await asyncio.get_running_loop().run_in_executor(home, leave)
        raise LookupError("at the end")

    with pytest.raises(LookupError, match="at the end"):
        beside(home, work(), asyncio.run)


def test_a_call_that_was_given_up_is_not_made() -> None:
    home, made = Home(), []
    future = home.submit(made.append, 1)
    assert future.cancel()
    home.end()
    home.serve()
    home.shutdown()
    assert made == []


def test_an_interrupted_test_ends_the_loop() -> None:
    class Interrupted(Home):
        def serve(self) -> None:
            assert begun.wait(10)
            raise KeyboardInterrupt

    begun, ended = threading.Event(), threading.Event()

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        beside(Interrupted(), work(), asyncio.run)
    assert ended.is_set()
