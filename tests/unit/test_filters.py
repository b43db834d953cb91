"""Which jobs, as people say it; and what is refused, with the words of the refusal."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from conveyor.client.changes import chosen
from conveyor.client.filters import Filters, job_filter, parsed
from conveyor.core import ids
from conveyor.core.clock import stored
from conveyor.core.errors import JobNotFound, PayloadError, UsageError
from conveyor.core.lifecycle import State
from conveyor.core.model import JobFilter

ONE = ids.text(ids.new())
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def test_nothing_said_is_all_jobs() -> None:
    assert job_filter() == JobFilter()
    assert job_filter(**dict.fromkeys(Filters.__annotations__)) == JobFilter()


def test_every_filter_reaches_the_store() -> None:
    made = job_filter(
        [ONE],
        state=["failed", State.READY],
        queue="q",
        task="t",
        tag="x",
        error="f" * 16,
        enqueued_after=NOON,
        enqueued_before=NOON.astimezone(timezone(timedelta(hours=14))),
        finished_before=NOON + timedelta(microseconds=1),
    )
    at = stored(NOON)
    assert made == JobFilter((State.FAILED, State.READY), "q", "t", "x", "f" * 16, at, at, at + 1, (ids.parse(ONE),))


@pytest.mark.parametrize("state", ["ready", State.READY, ["ready"], (State.READY,)])
def test_one_state_or_several(state: str) -> None:
    assert job_filter(state=state).states == (State.READY,)


def test_a_state_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"^'done' is no state; there are scheduled, ready, "):
        job_filter(state="done")


def test_a_filter_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(TypeError, match=r"^there is no filter colour; there are state, queue, task, "):
        job_filter(colour="red")  # type: ignore[call-arg]  # what the test is about


@pytest.mark.parametrize("name", ["queue", "task", "tag", "error"])
def test_texts_are_texts_that_a_store_can_hold(name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be a str, not int$"):
        job_filter(**{name: 5})  # type: ignore[arg-type]  # what the test is about
    for text in ("a\0b", "\ud800", "a\nb"):
        with pytest.raises(PayloadError, match=f"^{name}="):
            job_filter(**{name: text})  # type: ignore[arg-type]  # by a name that is one of theirs


@pytest.mark.parametrize("name", ["enqueued_after", "enqueued_before", "finished_before"])
def test_times_are_aware(name: str) -> None:
    with pytest.raises(PayloadError, match=rf"^{name}=2030-01-01T12:00:00 has no time zone.*datetime\.now\(UTC\)"):
        job_filter(**{name: NOON.replace(tzinfo=None)})  # type: ignore[arg-type]  # as above
    with pytest.raises(TypeError, match=f"^{name} must be a datetime, not "):
        job_filter(**{name: 5})  # type: ignore[arg-type]  # as above


def test_ids_are_ids() -> None:
    assert parsed(ONE) == parsed(UUID(ONE)) == ids.parse(ONE)
    for wrong in ("", "nonsense", 5, None, b"x"):
        with pytest.raises(JobNotFound, match="is not a job id; one looks like "):
            parsed(wrong)  # type: ignore[arg-type]  # what the test is about


# ------------------------------------------------------------ what to change


def test_a_change_is_about_ids_or_filters_or_everything() -> None:
    assert chosen([ONE]).ids == (ids.parse(ONE),)
    assert chosen([], queue="q") == JobFilter(queue="q")
    assert chosen([], everything=True) == JobFilter()
    assert chosen([], everything=True, queue="q") == JobFilter(queue="q")


def test_a_change_of_nobody_knows_what_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^which jobs\? Give ids, or filters .* or everything=True$"):
        chosen([])
    with pytest.raises(UsageError, match=r"^which jobs\?"):
        chosen([], queue=None, state=None)
    for more in ({"queue": "q"}, {"everything": True}):
        with pytest.raises(UsageError, match=r"^give ids, or filters, not both$"):
            chosen([ONE], **more)  # type: ignore[arg-type]  # either of them
