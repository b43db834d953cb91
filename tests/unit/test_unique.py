"""What makes a job unique, and the key as the store keeps it."""

import pytest

from conveyor import Conveyor, Unique
from conveyor.client.sending import new_job
from conveyor.core.errors import PayloadError
from conveyor.core.unique import KEY_LENGTH, Hold, hold_of, unique_of

app = Conveyor("sqlite:///:memory:")


@app.task(name="mail")
def mail(to: str, copies: int = 1) -> None:
    del to, copies


def test_an_option_says_what_makes_the_job_unique() -> None:
    chosen = Unique("k", until="start", on_conflict="raise")
    assert [unique_of(value) for value in (None, False, True, "k", chosen)] == [
        None,
        None,
        Unique(),
        Unique("k"),
        chosen,
    ]
    for value in (1, b"k", ["k"], 1.5):
        with pytest.raises(TypeError, match=r"^unique must be True, a key, or a Unique, not "):
            unique_of(value)  # type: ignore[arg-type]  # what the test is about


@pytest.mark.parametrize(
    "fields",
    [{"key": ""}, {"key": "x" * (KEY_LENGTH + 1)}, {"key": "a\0b"}, {"until": "end"}, {"on_conflict": "ignore"}],
    ids=lambda fields: next(iter(fields)),
)
def test_what_means_nothing_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(PayloadError):
        Unique(**fields)  # type: ignore[arg-type]  # what the test is about


def test_a_key_may_be_any_other_text() -> None:
    for text in ("a\nb", "\x1f", "x" * KEY_LENGTH, "😀"):
        assert Unique(text).key == text


def test_keys_of_different_tasks_and_keys_and_arguments_are_different() -> None:
    payloads = [b"[[1],{}]", b"[[2],{}]"]
    uniques = [Unique("a"), Unique("b"), Unique()]
    keys = [hold_of(unique, task, data).key for unique in uniques for task in ("t", "ta") for data in payloads]
    assert len(set(keys)) == 2 * 2 + 2 * 2  # a key goes for whatever arguments
    digest = hold_of(Unique(), "t", payloads[0]).key.partition("\x1e")[2]
    assert hold_of(Unique(digest), "t", payloads[0]).key != hold_of(Unique(), "t", payloads[0]).key


def test_the_store_is_told_until_when_and_what_a_second_one_does() -> None:
    assert hold_of(Unique("k"), "t", b"") == Hold("t\x1fk", until_start=False, on_conflict="existing")
    assert hold_of(Unique("k", "start", "replace"), "t", b"")[1:] == (True, "replace")


def test_equal_calls_have_one_key_however_they_are_written() -> None:
    task = mail.using(unique=True)
    keys = {new_job(call).unique for call in (task.bind("ada"), task.bind("ada"), task.bind("ada", 1))}
    assert len(keys) == 2  # what is left out is not looked up
    assert new_job(mail.bind("ada")).unique is None
    assert new_job(task.using(unique=None).bind("ada")).unique is None


def test_the_key_is_kept_as_it_was_given() -> None:
    options = mail.using(unique=Unique("k", until="start")).options
    assert (options.extras.unique, options.extras.until) == ("k", "start")
    assert mail.using(unique=True).options.extras.unique == ""
    assert mail.options.extras.unique is None
