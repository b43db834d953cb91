"""One job on one screen: what is shown, what is hidden, and that nothing in it is obeyed."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from conveyor.cli.job import above, bar, below
from conveyor.cli.masking import shown_call
from conveyor.cli.output import job_json, say_json
from conveyor.cli.timeline import timeline
from conveyor.core.extras import Extras, marked
from conveyor.core.failure import Failure
from conveyor.core.judge import EXPIRED
from conveyor.core.lifecycle import State
from conveyor.core.model import ATTEMPTS_KEPT, Attempt, JobInfo, Progress, Runner, RunnerInfo

SECOND = 1_000_000
NOON = datetime(2020, 1, 1, 12, tzinfo=UTC)
EPOCH = 1_577_880_000 * SECOND
HERE, THERE = "aa" * 16, "bb" * 16
HOSTILE = "\x1b[31m\x9b0m\u202e\r\n[red]x[/red]"
HARMLESS = r"\x1b[31m\x9b0m\u202e"
ERROR = Failure("ValueError", "no tea", "Traceback\n  one\nValueError: no tea\n", "0123456789abcdef")
JOB = JobInfo(
    id="018f5c2e-7b6a-7c3d-9e8f-0123456789ab",
    task="shop.mail",
    queue="mail",
    priority=5,
    state=State.SUCCEEDED,
    attempt=1,
    max_attempts=5,
    crashes=0,
    token=1,
    timeout=timedelta(minutes=1),
    enqueued_at=NOON,
    run_after=NOON,
    started_at=NOON + timedelta(seconds=2),
    last_attempted_at=NOON + timedelta(seconds=2),
    finished_at=NOON + timedelta(seconds=3),
    run_time=timedelta(seconds=0.5),
    runner=HERE,
    payload=b'[["ada"],{"plan":"pro"}]',
    result=b'"sent"',
    attempts=(),
    delete_after=NOON + timedelta(days=30),
)
RUNNERS = [Runner(HERE, RunnerInfo("box", 42, {"mail": 1}, ("shop.mail",), "1"), alive=True, started_at=NOON)]


def page(job: JobInfo, *, full: bool = False) -> str:
    return "".join(f"{line}\n" for line in (*above(job, "why", full=full), *below(job, full=full)))


def attempt(number: int, event: str, second: int, error: Failure | None = ERROR) -> Attempt:
    started = EPOCH + second * SECOND
    return Attempt(number, event, started, started + SECOND // 4, HERE, error)


def lines(job: JobInfo) -> list[tuple[str, str, str]]:
    return [(f"{line.when:%H:%M:%S}", line.what, line.details) for line in timeline(job, RUNNERS)]


# ---------------------------------------------------------------- timeline


def test_the_life_of_a_job_that_succeeded_at_once() -> None:
    assert lines(JOB) == [
        ("12:00:00", "enqueued", "due at once"),
        ("12:00:02", "attempt 1", "succeeded after 0.500 s (box pid 42)"),
        ("12:00:03", "succeeded", "after 3 s in all"),
    ]


def test_attempts_stand_where_they_happened() -> None:
    job = replace(
        JOB,
        state=State.FAILED,
        attempt=3,
        attempts=(attempt(1, "retry", 2), attempt(2, "rescue", 20), attempt(3, "fail", 60)),
        run_after=NOON + timedelta(seconds=59),
        last_attempted_at=NOON + timedelta(seconds=60),
        finished_at=NOON + timedelta(seconds=61),
    )
    assert lines(job) == [
        ("12:00:00", "enqueued", ""),
        ("12:00:02", "attempt 1", "failed after 0.250 s: ValueError: no tea (box pid 42)"),
        ("12:00:20", "attempt 2", "lost with its worker after 0.250 s: ValueError: no tea (box pid 42)"),
        ("12:00:59", "due", ""),
        ("12:01:00", "attempt 3", "failed after 0.250 s: ValueError: no tea (box pid 42)"),
        ("12:01:01", "failed", "after 1 min in all"),
    ]


def test_what_is_still_to_happen() -> None:
    now = datetime.now(UTC)
    waiting = replace(
        JOB, state=State.SCHEDULED, started_at=None, last_attempted_at=None, finished_at=None, runner=None
    )
    later = replace(waiting, run_after=now + timedelta(hours=2.01), expires_at=now + timedelta(hours=3))
    assert [line[1:] for line in sorted(lines(later), key=lambda line: line[1])] == [
        ("due", "in 2 h"),
        ("enqueued", ""),
        ("expires", "it is not started after that"),
    ]
    failed = replace(
        waiting,
        state=State.RETRYABLE,
        attempts=(attempt(1, "retry", 2),),
        last_attempted_at=NOON + timedelta(seconds=2),
        run_after=now + timedelta(days=900),
    )
    assert ("due again", "in 900 d") in [line[1:] for line in lines(failed)]


def test_a_running_attempt() -> None:
    begun = datetime.now(UTC) - timedelta(seconds=90)
    job = replace(JOB, state=State.RUNNING, last_attempted_at=begun, finished_at=None, run_time=None)
    line = timeline(job, [])[-1]
    assert line.what == "attempt 1"
    assert line.details == "has been running for 2 min (runner aaaaaaaa)"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"state": State.READY, "finished_at": None}, "started"),
        ({"state": State.CANCELLED, "cancelled": "enough"}, "attempt 1"),
        ({"state": State.CANCELLED, "cancelled": EXPIRED}, None),
        ({"state": State.CANCELLED, "cancelled": "enough", "run_time": None}, None),
        ({"last_attempted_at": None}, None),
    ],
)
def test_an_attempt_that_left_no_record(change: dict[str, object], what: str | None) -> None:
    job = replace(JOB, **change)  # type: ignore[arg-type]  # the table above holds fields of it
    told = [line for line in timeline(job, RUNNERS) if line.when == JOB.last_attempted_at]
    assert [line.what for line in told] == ([what] if what else [])


@pytest.mark.parametrize(("first", "gap"), [(1, True), (11, False)])
def test_attempts_that_are_not_kept_are_spoken_of(first: int, gap: bool) -> None:
    kept = [attempt(first, "retry", first), *(attempt(n, "retry", n) for n in range(12, 11 + ATTEMPTS_KEPT))]
    told = [line[1] for line in lines(replace(JOB, attempts=tuple(kept), last_attempted_at=None, finished_at=None))]
    assert ("..." in told) == gap
    if gap:
        assert told.index("...") == told.index("attempt 1") + 1


# ---------------------------------------------------------------- the page


def test_all_that_is_known_is_on_the_page() -> None:
    extras = Extras(tags=marked(("billing", "eu")), meta=msgspec.Raw(b'{"order":7}'), unique="w-1", until="start")
    text = page(replace(JOB, extras=extras, progress=Progress(0.4, "rows"), crashes=2))
    for part in (
        f"{JOB.id}  shop.mail\nwhy\n",
        "queue       mail, priority 5",
        "attempts    1 of 5, 1 min each, 2 of its workers died",
        "progress    [########------------] 40% rows",
        "unique      w-1, until it has started",
        "tags        billing, eu",
        'meta        {"order": 7}',
        'arguments   [["ada"], {"plan": "pro"}]',
        'result      "sent"',
        "kept        until 2020-01-31 12:00:00 UTC",
        f"grep job={JOB.id} FILE",
    ):
        assert part in text
    assert "conveyor retry" not in text


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"delete_after": None}, "kept        for ever"),
        ({"finished_at": None, "state": State.READY}, "kept        for 30 d after its end"),
        ({"finished_at": None, "state": State.READY, "extras": Extras(keep=-1)}, "kept        for ever"),
        ({"finished_at": None, "state": State.READY, "extras": Extras(keep=0)}, "kept        for 0 s after its end"),
        ({"extras": Extras(unique="")}, "unique      by its arguments, until it has ended"),
        ({"result": None}, "result      not stored"),
        ({"timeout": None}, "attempts    1 of 5, no time limit"),
        ({"state": State.RUNNING, "finished_at": None, "cancelled": "enough"}, "to stop     enough"),
        ({"state": State.CANCELLED, "cancelled": "enough"}, "cancelled   enough"),
    ],
)
def test_facts(change: dict[str, object], line: str) -> None:
    assert f"{line}\n" in page(replace(JOB, **change))  # type: ignore[arg-type]  # as above


def test_the_last_error_is_shown_and_all_of_them_when_asked_for() -> None:
    other = replace_failure(traceback="Traceback\n" + "\n".join(f"  line {n}" for n in range(100)))
    job = replace(JOB, state=State.FAILED, attempts=(attempt(1, "retry", 2, other), attempt(2, "fail", 3)))
    text = page(job)
    assert "attempt 2: ValueError: no tea\n    Traceback\n      one\n    ValueError: no tea\n" in text
    assert "line 99" not in text
    assert f"again       conveyor retry {JOB.id}\n" in text
    assert "others      conveyor jobs --error 0123456789abcdef\n" in text
    assert "      line 0\n" in page(job, full=True)
    long = page(replace(job, attempts=(attempt(1, "fail", 2, other),)))
    assert "    ... 77 lines before; all of them with --full\n      line 76\n" in long
    assert "      line 99\n" in long


def replace_failure(**changes: str) -> Failure:
    return msgspec.structs.replace(ERROR, **changes)


def test_long_values_are_cut_unless_all_is_asked_for() -> None:
    job = replace(JOB, payload=json.dumps([["x" * 5_000], {}]).encode())
    assert "x" * 1_990 + "... (all of it with --full)" in page(job)
    assert "x" * 5_000 in page(job, full=True)


def test_nothing_on_the_page_is_obeyed() -> None:
    extras = Extras(tags=marked((HOSTILE,)), meta=msgspec.Raw(json.dumps({HOSTILE: HOSTILE}).encode()), unique=HOSTILE)
    error = Failure(HOSTILE, HOSTILE, f"Traceback\n{HOSTILE}", HOSTILE)
    job = replace(
        JOB,
        task=HOSTILE,
        queue=HOSTILE,
        state=State.FAILED,
        extras=extras,
        progress=Progress(None, HOSTILE),
        cancelled=HOSTILE,
        attempts=(Attempt(1, HOSTILE, EPOCH, EPOCH, HOSTILE, error),),
        payload=json.dumps([[HOSTILE], {HOSTILE: HOSTILE}]).encode(),
    )
    for line in (*above(job, HOSTILE, full=True), *below(job, full=True)):
        assert line.isprintable()
    text = page(job, full=True)
    assert HARMLESS in text
    assert "[red]x[/red]" in text


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(0.0), f"[{'-' * 20}] 0%"),
        (Progress(1.0, "done"), f"[{'#' * 20}] 100% done"),
        (Progress(7.0), f"[{'#' * 20}] 700%"),  # the store takes no such thing; a page must not fail of it
        (Progress(None, "looking"), "looking"),
    ],
)
def test_progress_is_a_bar(progress: Progress, text: str) -> None:
    assert bar(progress) == text


# ---------------------------------------------------------------- what is redacted


def hidden(payload: object, redact: tuple[str | int, ...], result: object = None) -> tuple[object, object]:
    extras = Extras(redact=redact)
    return shown_call(
        replace(JOB, payload=json.dumps(payload).encode(), result=json.dumps(result).encode(), extras=extras)
    )


def test_redacted_arguments_are_hidden_by_name_and_by_position() -> None:
    arguments, _ = hidden([["ada", "s3cret"], {"password": {"deep": "x"}, "plan": "pro"}], ("password", 1))
    assert arguments == [["ada", "[redacted]"], {"password": "[redacted]", "plan": "pro"}]


def test_a_result_that_repeats_what_is_redacted_hides_it() -> None:
    secrets = {"password": ["s3cret", 1234, {"pin": "77"}, True, None]}
    result = ["hello s3cret!", 1234, "77", "a 77", "1770", True, None, {"s3cret": "s3cret"}, "public"]
    _, shown_result = hidden([[], secrets], ("password",), result)
    assert shown_result == [
        "hello [redacted]!",
        "[redacted]",
        "[redacted]",
        "a [redacted]",
        "1770",
        True,
        None,
        {"s3cret": "[redacted]"},
        "public",
    ]


def test_the_longer_secret_is_hidden_whole() -> None:
    assert hidden([["abcd", "abcdefgh"], {}], (0, 1), "abcdefgh abcd")[1] == "[redacted] [redacted]"


@pytest.mark.parametrize("payload", [b"{", b"\xff", b""])
def test_what_is_no_json_does_not_spoil_the_record(payload: bytes) -> None:
    assert shown_call(replace(JOB, payload=payload, result=payload)) == ("(this is no JSON)", "(this is no JSON)")


@pytest.mark.parametrize("payload", [[], [[]], [{}, []], {"a": 1}, 7])
def test_what_is_no_call_is_shown_as_it_is(payload: object) -> None:
    assert hidden(payload, (0,))[0] == payload


def test_programs_are_told_nothing_redacted_either() -> None:
    job = replace(JOB, payload=b'[["s3cret"],{}]', result=b'"s3cret"', extras=Extras(redact=(0,)))
    assert "s3cret" not in json.dumps(job_json(job))


def test_programs_are_told_all_the_rest() -> None:
    extras = Extras(tags=marked(("a",)), meta=msgspec.Raw(b'{"n":1}'), unique="k")
    told = job_json(
        replace(
            JOB,
            state=State.CANCELLED,
            extras=extras,
            progress=Progress(0.5, "rows"),
            cancelled="enough",
            expires_at=NOON,
            attempts=(attempt(1, "cancel", 2),),
        )
    )
    assert json.loads(json.dumps(told)) == told
    assert (told["tags"], told["meta"], told["unique"]) == (["a"], {"n": 1}, "k")
    assert (told["progress"], told["cancelled"]) == ({"value": 0.5, "message": "rows"}, "enough")
    assert (told["expires_at"], told["delete_after"]) == ("2020-01-01T12:00:00+00:00", "2020-01-31T12:00:00+00:00")
    assert (told["error"], told["fingerprint"]) == ("ValueError: no tea", "0123456789abcdef")


def test_json_moves_no_cursor_and_stays_the_same_json(capsys: pytest.CaptureFixture[str]) -> None:
    value = {HOSTILE: [HOSTILE, "größe", "🙂", "\ue000\U000e0001"]}
    say_json(value)
    out = capsys.readouterr().out
    assert json.loads(out) == value
    assert all(line.isprintable() for line in out.split("\n"))
    assert re.search("größe.*🙂", out, re.DOTALL)


def test_what_an_attempt_took_and_said_is_shown() -> None:
    spoken = msgspec.structs.replace(
        attempt(1, "succeed", 2), error=None, cpu=0.2, memory=64 << 20, output="".join(f"line {n}\n" for n in range(30))
    )
    job = replace(JOB, attempts=(spoken,))
    assert lines(job)[1][1:] == ("attempt 1", "succeeded after 0.250 s (0.20 s of CPU, 64 MB) (box pid 42)")
    short, whole = ("\n".join(below(job, full=full)) for full in (False, True))
    assert "attempt 1 said:\n    ... 6 lines before" in short
    assert "    line 29\n" in short
    assert "    line 0\n" in whole
