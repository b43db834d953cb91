"""Calls that mypy --strict and pyright must refuse: each line marked so, and no other. Never run."""

import conveyor
from conveyor import Context, Conveyor, Unique
from conveyor.task import Call
from conveyor.testing import Harness

app = Conveyor("sqlite:///:memory:")


@app.task
def add(left: int, right: int = 0) -> int:
    return left + right


@app.task
async def greet(name: str, *, loud: bool = False) -> str:
    return name.upper() if loud else name


@app.task(takes_context=True)
def count(ctx: Context, upto: int) -> list[int]:
    return [*range(upto + ctx.attempt)]


@app.task(takes_context=True)
async def watch(ctx: Context, *, quiet: bool) -> bool:
    return quiet and ctx.cancelled


@app.task
def option_names(queue: str, priority: str) -> str:
    return queue + priority


def wrong_arguments() -> None:
    add.enqueue("one")  # refused: a wrong type
    add.enqueue()  # refused: one is missing
    add.enqueue(1, 2, 3)  # refused: one too many
    add.enqueue(1, middle=2)  # refused: no such name
    add.enqueue(1, right="2")  # refused: a wrong type, by name
    greet.enqueue(1)  # refused: a wrong type
    greet.enqueue("ada", True)  # refused: by name only
    greet.enqueue("ada", loud="yes")  # refused: a wrong type, by name


def wrong_arguments_elsewhere() -> None:
    add.bind("one")  # refused
    add.bind()  # refused
    greet.bind("ada", shout=True)  # refused
    add.using(priority=1).enqueue("one")  # refused
    add.using(priority=1).enqueue(1, 2, 3)  # refused
    greet.using(queue="q").bind()  # refused


async def wrong_arguments_in_async_code() -> None:
    await add.aenqueue("one")  # refused
    await greet.aenqueue()  # refused
    await greet.using(queue="q").aenqueue("ada", loud=1)  # refused


def the_context_is_not_the_callers() -> None:
    count.enqueue()  # refused: upto is missing
    count.enqueue("three")  # refused: upto, not ctx, is the first
    count.enqueue(ctx=1, upto=3)  # refused: no such name
    watch.enqueue(quiet="no")  # refused
    watch.bind(True, quiet=True)  # refused: there is no place for a context


def wrong_options() -> None:
    add.using(priority="high")  # refused: a wrong type
    add.using(run_after="tomorrow")  # refused: a wrong type
    add.using(prioritee=1)  # refused: no such option
    add.using(left=1)  # refused: an argument is no option
    add.enqueue(1, priority=9)  # refused: an option is no argument
    option_names.using(priority=9).enqueue("q", priority=9)  # refused: the argument of that name is a str


def wrong_rarer_options() -> None:
    add.using(unique=5)  # refused: no key
    add.using(unique=Unique("k", until="end"))  # refused: no such word
    add.using(meta=[1])  # refused: no mapping
    add.using(backoff=5)  # refused: no rule
    add.using(retry_on=OSError)  # refused: it is the task's
    app.jobs.cancel(5)  # refused: no id
    app.jobs.list(colour="red")  # refused: no such filter
    app.jobs.cancel("id", reason=5)  # refused: no text


def wrong_registration() -> None:
    app.task(run_after=5)  # refused: it is the job's
    app.task(on_success=5)  # refused: no hook
    conveyor.task(priority="high")  # refused: a wrong type
    app.task(priority="high")  # refused: a wrong type
    app.task(prioritee=1)  # refused: no such option
    app.task(takes_context="yes")  # refused: neither True nor False


@app.task(takes_context=True)  # refused: the first parameter is not a Context
def no_context(upto: int) -> int:
    return upto


def wrong_results() -> None:
    number: str = add.enqueue(1).result()  # refused: an int
    length: int = greet.enqueue("ada").result()  # refused: a str, not a coroutine
    greet("ada").upper()  # refused: a coroutine, not yet a str
    total: str = add(1)  # refused: an int
    call: Call[str] = add.bind(1)  # refused: of an int
    app.enqueue_many([1, 2])  # refused: not bound calls
    app.enqueue_many([add.enqueue(1)])  # refused: enqueued, not bound
    del number, length, total, call


def wrong_calls() -> None:
    add("one")  # refused
    greet()  # refused: an argument is missing


def tested(harness: Harness) -> None:
    harness.perform(add, "one")  # refused: a wrong type
    harness.perform(add, attempt=2)  # refused: an option is no argument
    harness.perform(add, 1).upper()  # refused: an int
    harness.assert_enqueued(add, colour="red")  # refused: no such condition
    harness.assert_enqueued("add")  # refused: a name is no task
    harness.assert_idempotent(add)  # refused: a task is no call
    harness.wait_until("born")  # refused: no such event
