"""Group commit: company shares a write, nobody waits for company, and each gets its own answer."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.batch import Batcher, halved
from conveyor.core.errors import StoreRefused, StoreUnavailable


class Writer:
    """Writes down what it is given; holds a write until told; refuses what is *bad*; fails at *trouble*."""

    def __init__(self, *bad: str, trouble: dict[int, BaseException] | None = None) -> None:
        self.writes: list[list[str]] = []
        self.stored: list[str] = []
        self.go = asyncio.Event()
        self.go.set()
        self._bad = set(bad)
        self._trouble = trouble or {}

    async def __call__(self, items: Sequence[str]) -> None:
        self.writes.append(list(items))
        await self.go.wait()
        if (error := self._trouble.get(len(self.writes))) is not None:
            raise error
        if found := self._bad.intersection(items):
            raise StoreRefused(f"no {' '.join(sorted(found))}")
        self.stored += items


async def put_all(batcher: Batcher[str], *items: str) -> list[BaseException | None]:
    """Put *items* at the same time; what became of each."""
    return await asyncio.gather(*map(batcher.put, items), return_exceptions=True)


async def settle() -> None:
    """Let all that can go on go on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_lone_caller_does_not_wait_for_company() -> None:
    writer = Writer()
    batcher = Batcher(writer, 100)
    await batcher.put("a")
    await batcher.put("b")
    assert writer.writes == [["a"], ["b"]]


async def test_who_comes_while_a_write_is_under_way_shares_the_next() -> None:
    writer = Writer()
    writer.go.clear()
    batcher = Batcher(writer, 100)
    first = asyncio.create_task(batcher.put("a"))
    await settle()
    others = asyncio.create_task(put_all(batcher, "b", "c", "d"))
    await settle()
    assert writer.writes == [["a"]]
    writer.go.set()
    await asyncio.gather(first, others)
    assert writer.writes == [["a"], ["b", "c", "d"]]


async def test_nobody_is_told_before_the_write_has_returned() -> None:
    writer = Writer()
    writer.go.clear()
    caller = asyncio.create_task(Batcher(writer, 100).put("a"))
    await settle()
    assert not caller.done()
    writer.go.set()
    await caller


async def test_a_write_has_at_most_so_many_items() -> None:
    writer = Writer()
    await put_all(Batcher(writer, 3), *"abcdefgh")
    assert [len(write) for write in writer.writes] == [3, 3, 2]
    assert writer.stored == list("abcdefgh")


async def test_the_same_item_twice_is_two_callers() -> None:
    async with asyncio.timeout(1):
        assert await put_all(Batcher(Writer(), 10), "a", "a") == [None, None]


async def test_a_bad_item_holds_back_nobody_else() -> None:
    writer = Writer("e")
    answers = await put_all(Batcher(writer, 100), *"abcdefgh")
    assert [item for item, answer in zip("abcdefgh", answers, strict=True) if answer is not None] == ["e"]
    assert str(answers[4]) == "no e"
    assert sorted(writer.stored) == list("abcdfgh")


async def test_all_bad_items_are_found_and_none_is_written_twice() -> None:
    writer = Writer(*"adh")
    answers = await put_all(Batcher(writer, 100), *"abcdefgh")
    assert [str(answer) for answer in answers if answer] == ["no a", "no d", "no h"]
    assert sorted(writer.stored) == list("bcefg")


async def test_what_was_written_before_the_store_went_away_is_not_reported_as_unwritten() -> None:
    gone = StoreUnavailable("gone")
    writer = Writer("a", trouble={3: gone, 4: gone, 5: gone})  # the whole is refused, then "a b" is split, then ...
    items = "cdab"
    answers = await put_all(Batcher(writer, 100), *items)
    told = {item for item, answer in zip(items, answers, strict=True) if answer is None}
    assert told == set(writer.stored) == {"c", "d"}


async def test_an_error_that_concerns_all_reaches_all_and_the_next_caller_is_served() -> None:
    writer = Writer(trouble={1: StoreUnavailable("gone")})
    batcher = Batcher(writer, 100)
    answers = await put_all(batcher, "a", "b")
    assert [str(answer) for answer in answers] == ["gone", "gone"]
    await batcher.put("c")
    assert writer.stored == ["c"]


async def test_errors_reach_only_the_callers_of_their_own_write() -> None:
    writer = Writer(trouble={1: StoreUnavailable("gone")})
    assert [answer is None for answer in await put_all(Batcher(writer, 2), *"abcd")] == [False, False, True, True]


@pytest.mark.parametrize("error", [RuntimeError("bug"), asyncio.CancelledError(), StopAsyncIteration()], ids=repr)
async def test_even_an_error_that_nobody_expected_leaves_nobody_waiting(error: BaseException) -> None:
    batcher = Batcher(Writer(trouble={1: error}), 100)
    async with asyncio.timeout(1):
        answers = await put_all(batcher, "a", "b")
    assert all(isinstance(answer, BaseException) for answer in answers)


async def test_a_caller_that_gives_up_during_the_write_disturbs_nobody() -> None:
    writer = Writer()
    writer.go.clear()
    batcher = Batcher(writer, 100)
    leaver, stayer = asyncio.create_task(batcher.put("a")), asyncio.create_task(batcher.put("b"))
    await settle()
    leaver.cancel()
    await settle()
    assert leaver.cancelled()
    writer.go.set()
    await stayer
    assert writer.stored == ["a", "b"]


async def test_what_a_caller_gave_up_before_its_write_began_is_not_written() -> None:
    writer = Writer()
    writer.go.clear()
    batcher = Batcher(writer, 100)
    first = asyncio.create_task(batcher.put("a"))
    await settle()
    leaver, stayer = asyncio.create_task(batcher.put("b")), asyncio.create_task(batcher.put("c"))
    await settle()
    leaver.cancel()
    writer.go.set()
    await asyncio.gather(first, stayer)
    assert writer.stored == ["a", "c"]


async def test_when_all_have_given_up_the_next_is_served_all_the_same() -> None:
    writer = Writer()
    writer.go.clear()
    batcher = Batcher(writer, 100)
    leaver = asyncio.create_task(batcher.put("a"))
    await settle()
    leaver.cancel()
    await settle()
    writer.go.set()
    async with asyncio.timeout(1):
        await batcher.put("b")
    assert writer.stored[-1] == "b"


@settings(max_examples=50)
@given(st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1), st.sets(st.sampled_from("abcdefgh")))
def test_halving_finds_exactly_the_bad_and_keeps_the_order(items: list[str], bad: set[str]) -> None:
    async def parts() -> tuple[list[str], list[str], list[str]]:
        writer = Writer(*bad)
        refused, written = [], []
        for some, answer in await halved(writer, items):
            (refused if isinstance(answer, StoreRefused) else written).extend(some)
        return refused, written, writer.stored

    refused, written, stored = asyncio.run(parts())
    assert refused == [item for item in items if item in bad]
    assert written == stored == [item for item in items if item not in bad]
