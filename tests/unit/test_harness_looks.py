"""``enqueued``, ``assert_enqueued`` and ``assert_not_enqueued``: what they find, and what they say."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from unittest.mock import ANY

import pytest

from conveyor import Backoff, Conveyor, State, Unique, UsageError
from conveyor.testing import Harness

app = Conveyor("sqlite:////nowhere/at-all.db")


@app.task(name="shop.welcome", tags=["greeting"])
def welcome(user: int, *, plan: str = "free", born: date | None = None) -> str:
    return f"{user} {plan}"


@app.task(name="shop.login", redact=["password"])
def login(name: str, password: str) -> None: ...


@app.task(name="shop.many", queue="bulk")
def many(first: int, *rest: int, **named: int) -> None: ...


@app.task(name="queue.eater")
def eater(queue: str, args: int, kwargs: int) -> None: ...


@pytest.fixture
def harness() -> Iterator[Harness]:
    with Harness(app) as opened:
        yield opened


def said(call: object, *args: object, **kwargs: object) -> str:
    assert callable(call)
    with pytest.raises(AssertionError) as failed:
        call(*args, **kwargs)
    return str(failed.value)


# ---------------------------------------------------------------- what fits


def test_a_call_fits_however_its_arguments_were_passed(harness: Harness) -> None:
    job = welcome.enqueue(42, plan="pro")
    welcome.enqueue(user=43)
    assert harness.assert_enqueued(welcome).id == job.id
    assert harness.assert_enqueued(welcome, args=(42,), kwargs={"plan": "pro"}).id == job.id
    assert harness.assert_enqueued(welcome, kwargs={"user": 42, "plan": "pro", "born": None}).id == job.id
    assert harness.assert_enqueued(welcome.bind(user=42, plan="pro")).id == job.id
    harness.assert_enqueued(welcome, args=(43,))
    harness.assert_enqueued(welcome, args=(43,), kwargs={"plan": "free"})
    harness.assert_not_enqueued(welcome, args=(42,))
    harness.assert_not_enqueued(welcome.bind(43, plan="pro"))


def test_arguments_are_compared_as_the_function_gets_them(harness: Harness) -> None:
    welcome.enqueue(1, born=date(2000, 2, 29))
    harness.assert_enqueued(welcome, args=(1,), kwargs={"born": date(2000, 2, 29)})
    harness.assert_enqueued(welcome, args=(ANY,), kwargs={"born": ANY})
    harness.assert_not_enqueued(welcome, args=(1,), kwargs={"born": "2000-02-29"})


def test_a_part_of_the_arguments_or_any_condition_will_do(harness: Harness) -> None:
    welcome.enqueue(42, plan="pro")
    harness.assert_enqueued(welcome, arguments={"plan": "pro"})
    harness.assert_enqueued(welcome, where=lambda call: int(str(call.arguments["user"])) > 41)
    harness.assert_not_enqueued(welcome, arguments={"plan": "pro"}, where=lambda call: call.info.priority > 0)
    assert "colour is no argument of it" in said(harness.assert_enqueued, welcome, arguments={"colour": 1})


def test_stars_are_arguments_too(harness: Harness) -> None:
    many.enqueue(1, 2, 3, four=4)
    harness.assert_enqueued(many, args=(1, 2, 3), kwargs={"four": 4})
    harness.assert_enqueued(many.bind(1, 2, 3, four=4))
    harness.assert_not_enqueued(many, args=(1, 2), kwargs={"four": 4})


def test_arguments_with_the_names_of_conditions_are_arguments(harness: Harness) -> None:
    eater.enqueue("q", 1, kwargs=2)
    harness.assert_enqueued(eater, args=("q", 1, 2), queue="default")
    harness.assert_enqueued(eater.bind(queue="q", args=1, kwargs=2))


@pytest.mark.parametrize(
    "like",
    [
        {"queue": "mail"},
        {"priority": 9},
        {"tags": ["a"]},
        {"tags": ["b", "a"]},
        {"meta": {"x": 1}},
        {"state": "scheduled"},
        {"state": State.SCHEDULED},
        {"run_after": timedelta(days=3)},
        {"run_after": 3 * 86_400},
    ],
    ids=str,
)
def test_options_are_compared_when_they_are_given(harness: Harness, like: dict[str, object]) -> None:
    plain = welcome.enqueue(1)
    job = welcome.using(
        queue="mail", priority=9, tags=["a", "b"], meta={"x": 1, "y": 2}, run_after=timedelta(days=3)
    ).enqueue(1)
    assert [found.info.id for found in harness.enqueued(welcome, **like)] == [job.id]  # type: ignore[arg-type]  # as a parameter of the test it has lost its type
    assert plain.id != job.id


def test_options_that_a_task_or_call_bears_are_compared(harness: Harness) -> None:
    plain = welcome.enqueue(1)
    due = datetime.now(UTC) + timedelta(days=1)
    variants = [
        welcome.using(queue="mail"),
        welcome.using(priority=9),
        welcome.using(tags=["x"]),
        welcome.using(meta={"a": 1}),
        welcome.using(run_after=60),
        welcome.using(run_after=due),
        welcome.using(max_attempts=2),
        welcome.using(timeout=5),
        welcome.using(timeout=None),
        welcome.using(unique=Unique("k", until="start")),
        welcome.using(expires=60),
        welcome.using(keep=None),
        welcome.using(store_result=False),
        welcome.using(backoff=Backoff.fixed(1)),
    ]
    jobs = [variant.enqueue(1).id for variant in variants]
    for variant, job in zip(variants, jobs, strict=True):
        assert [found.info.id for found in harness.enqueued(variant)] == [job]
        assert [found.info.id for found in harness.enqueued(variant.bind(1))] == [job]
    assert harness.enqueued(welcome)[0].info.id == plain.id
    assert len(harness.enqueued(welcome)) == 1 + len(variants)


def test_jobs_are_found_whatever_has_become_of_them(harness: Harness) -> None:
    welcome.enqueue(1)
    harness.drain()
    harness.assert_enqueued(welcome, args=(1,))
    harness.assert_enqueued(welcome, state="succeeded")
    harness.assert_not_enqueued(welcome, state="ready")


def test_jobs_come_in_the_order_in_which_they_were_enqueued(harness: Harness) -> None:
    app.enqueue_many(welcome.bind(number) for number in range(1_500))
    login.enqueue("ada", "secret")
    found = harness.enqueued()
    assert [one.arguments["user"] for one in found[:-1]] == [*range(1_500)]
    assert found[-1].info.task == "shop.login"


def test_the_handle_that_is_given_is_the_jobs(harness: Harness) -> None:
    welcome.enqueue(1)
    job = harness.assert_enqueued(welcome.bind(1))
    harness.drain()
    assert job.result(timeout=1) == "1 free"


# ---------------------------------------------------------------- what is said


def test_what_is_enqueued_instead_is_listed_the_nearest_first(harness: Harness) -> None:
    login.enqueue("ada", "secret")
    welcome.using(run_after=timedelta(days=3)).enqueue(7)
    welcome.using(queue="mail").enqueue(42, plan="free")
    text = said(harness.assert_enqueued, welcome, args=(42,), kwargs={"plan": "pro"}, queue="mail")
    assert text.splitlines() == [
        "no such job is enqueued: shop.welcome(42, plan='pro') with queue='mail'",
        "enqueued are, the nearest first:",
        "  shop.welcome(42, plan='free'), in queue 'mail', ready",
        "    plan is 'free', not 'pro'",
        "  shop.welcome(7), in queue 'default', scheduled for 3 days, 0:00:00 after it was enqueued",
        "    user is 7, not 42",
        "    plan is 'free', not 'pro'",
        "    queue is 'default', not 'mail'",
        "  shop.login('ada', ***), in queue 'default', ready",
        "    the task is not shop.welcome",
    ]


def test_each_respect_has_its_words(harness: Harness) -> None:
    welcome.using(tags=["a"], meta={"x": 1}).enqueue(1)
    text = said(
        harness.assert_enqueued,
        welcome.using(max_attempts=2, timeout=60, unique="k"),
        tags=["b", "a"],
        meta={"x": 2},
        state="failed",
        run_after=timedelta(hours=1),
        where=lambda _: False,
    )
    assert text.splitlines()[0] == (
        "no such job is enqueued: shop.welcome with max_attempts=2, timeout=datetime.timedelta(seconds=60), "
        "unique='k', state=failed, tags=['b', 'a'], meta={'x': 2}, run_after=1:00:00, where=..."
    )
    assert [line.strip() for line in text.splitlines()[3:]] == [
        "max_attempts is 5, not 2",
        "timeout is datetime.timedelta(seconds=3600), not datetime.timedelta(seconds=60)",
        "unique is None, not 'k'",
        "state is ready, not failed",
        "tags are ['a'], without 'b'",
        "meta is {'x': 1}, without {'x': 2}",
        "run_after is 0:00:00 after it was enqueued, not 1:00:00",
        "where= says no",
    ]
    due = datetime(2035, 1, 1, tzinfo=UTC)
    assert "not 2035-01-01 00:00:00+00:00" in said(harness.assert_enqueued, welcome, run_after=due)
    assert "tags is ['a'], not ['z']" in said(harness.assert_enqueued, welcome.using(tags=["z"]))


def test_what_a_task_keeps_out_of_sight_is_not_shown(harness: Harness) -> None:
    login.enqueue("ada", password="secret")  # noqa: S106 - nobody's
    text = said(harness.assert_enqueued, login, arguments={"password": "other"})
    assert "shop.login('ada', ***)" in text
    assert "password is another" in text
    assert "secret" not in text


def test_a_number_of_jobs_is_counted(harness: Harness) -> None:
    for _ in range(12):
        welcome.enqueue(1)
    harness.assert_enqueued(welcome, count=12)
    text = said(harness.assert_enqueued, welcome.bind(1), count=1)
    assert text.splitlines()[0] == "12 such jobs are enqueued, not 1: shop.welcome(1)"
    assert text.splitlines()[-1] == "  and 2 more"
    assert len(text.splitlines()) == 12
    with pytest.raises(UsageError, match=r"what assert_not_enqueued\(\) says"):
        harness.assert_enqueued(welcome, count=0)


def test_what_was_not_to_be_enqueued_is_listed(harness: Harness) -> None:
    harness.assert_not_enqueued()
    harness.assert_not_enqueued(welcome)
    welcome.enqueue(1)
    for text in (said(harness.assert_not_enqueued), said(harness.assert_not_enqueued, welcome, queue="default")):
        assert text.splitlines()[0].startswith("1 such job is enqueued, and none was to be: ")
        assert text.splitlines()[1:] == ["  shop.welcome(1), in queue 'default', ready"]


def test_an_empty_store_is_said_to_be_empty(harness: Harness) -> None:
    assert said(harness.assert_enqueued, welcome).endswith(
        "none is enqueued at all, in a transaction that is committed"
    )
    with harness.inline():
        welcome.enqueue(1)
        assert said(harness.assert_enqueued, welcome).endswith("; inline() stores none")


def test_jobs_of_unknown_tasks_and_broken_arguments_are_shown_as_they_are(harness: Harness) -> None:
    other = Conveyor("sqlite:///:memory:")

    @other.task(name="shop.strange")
    def strange(word: str) -> None: ...

    @other.task(name="shop.welcome")
    def older(name: str, mail: str, address: str, age: int) -> None: ...

    with Harness(other, harness.url):
        strange.enqueue("x")
        older.enqueue("ada", "a@b", "here", 36)
    harness.clock.catch_up()
    found = harness.enqueued()
    assert [str(one) for one in found] == [
        "shop.strange([[\"x\"],{}]), in queue 'default', ready",
        'shop.welcome([["ada","a@b","here",36],{}]), in queue \'default\', ready',
    ]
    assert found[0].arguments == found[1].arguments == {}


# ---------------------------------------------------------------- misuse


def test_a_call_that_the_function_does_not_take_is_refused(harness: Harness) -> None:
    with pytest.raises(TypeError, match=r"missing a required argument: 'user'; args and kwargs are the whole call"):
        harness.assert_enqueued(welcome, kwargs={"plan": "pro"})


def test_what_means_nothing_is_refused(harness: Harness) -> None:
    with pytest.raises(UsageError, match="say which"):
        harness.enqueued(args=(1,))
    with pytest.raises(UsageError, match="a bound call has its arguments"):
        harness.enqueued(welcome.bind(1), args=(1,))
    with pytest.raises(TypeError, match="a job cannot be told by colour; there are args, kwargs, arguments"):
        harness.enqueued(welcome, colour="red")  # type: ignore[call-arg]  # the type checker knows it too
    with pytest.raises(ValueError, match="nowhere"):
        harness.enqueued(welcome, state="nowhere")


def test_tasks_of_another_app_are_refused(harness: Harness) -> None:
    @Conveyor("sqlite:///:memory:").task(name="shop.welcome")
    def stranger() -> None: ...

    with pytest.raises(UsageError, match=r"shop\.welcome is no task of <Conveyor on sqlite>"):
        harness.assert_enqueued(stranger)


def test_a_name_is_no_task_and_that_is_said(harness: Harness) -> None:
    for ask in (harness.assert_enqueued, harness.assert_not_enqueued, harness.enqueued):
        with pytest.raises(TypeError, match=r"'welcome' is no task: hand over the task itself, or .* task\.bind\(42\)"):
            ask("welcome")  # type: ignore[operator]  # what the test is about
    with pytest.raises(TypeError, match="'welcome' is no task"):
        harness.wait_until("succeeded", "welcome", timeout=0)  # type: ignore[arg-type]  # likewise
