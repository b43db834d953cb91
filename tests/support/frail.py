"""Tasks that may, or may not, be cut off anywhere and run again. Their lines are points at which they are crashed."""

import asyncio
import contextlib
import functools
import sqlite3
from collections.abc import AsyncGenerator, Callable, Generator

from conveyor import Cancel, Context, Conveyor, Snooze, Unique, current

app = Conveyor("sqlite:////nowhere/at-all.db")
sent: list[object] = []
paid: set[int] = set()


def reset() -> None:
    sent.clear()
    paid.clear()


@app.task(name="receipt")
def receipt(order: int) -> None: ...


@app.task(name="charges twice")
def charges_twice(order: int) -> int:
    amount = order * 10
    sent.append(amount)
    paid.add(order)
    return amount


@app.task(name="charges once")
def charges_once(order: int) -> int:
    amount = order * 10
    if order not in paid:
        paid.add(order)
    return amount


@app.task(name="enqueues twice")
def enqueues_twice(order: int) -> None:
    receipt.enqueue(order)


@app.task(name="enqueues once")
def enqueues_once(order: int) -> None:
    for _ in range(100):
        receipt.using(unique=Unique(f"receipt-{order}")).enqueue(order)


@app.task(name="awaits twice")
async def awaits_twice(order: int) -> None:
    await asyncio.gather(receipt.aenqueue(order), asyncio.sleep(0)), await asyncio.sleep(0)


@app.task(name="awaits once")
async def awaits_once(order: int) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0))
    async with _lock():
        await receipt.using(unique=True).aenqueue(order)
    with contextlib.suppress(ValueError):
        raise ValueError


@contextlib.asynccontextmanager
async def _lock() -> AsyncGenerator[None]:
    sent.append("lock")
    try:
        yield
    finally:
        await asyncio.sleep(0)
        sent.remove("lock")


@app.task(name="writes", transactional=True)
def writes(order: int) -> None:
    connection = current().connection
    connection.execute("INSERT INTO orders VALUES (?)", (order,))
    receipt.enqueue(order)
    connection.execute("INSERT INTO orders VALUES (?)", (order,))


@app.task(name="writes by hand")
async def writes_by_hand(order: int) -> None:
    async with current().transaction() as transaction:
        transaction.connection.execute("INSERT INTO orders VALUES (?)", (order,))
        await receipt.aenqueue(order)
    await asyncio.sleep(0)
    sent.append("committed, and so never again")


@app.task(name="leaves open")
def leaves_open(path: str) -> None:
    """Without ``with``: what it leaves behind is a transaction that holds SQLite's write lock."""
    connection = sqlite3.connect(path)
    connection.execute("INSERT OR IGNORE INTO once VALUES (1)")
    connection.commit()
    connection.close()


@app.task(name="swallows")
def swallows() -> None:
    try:
        sent.append("a")
        sent.append("b")
    except BaseException:  # noqa: BLE001 - that is what is wrong with it
        sent.append("c")


@app.task(name="fails the second time", takes_context=True)
def fails_the_second_time(ctx: Context) -> None:
    first = ctx.attempt == 1
    if not first:
        raise LookupError("not the first time")


@app.task(name="fails")
def fails() -> None:
    raise LookupError("always")


@app.task(name="snoozes")
def snoozes() -> None:
    raise Snooze(60)


@app.task(name="cancels")
async def cancels(order: int) -> None:
    paid.add(order)
    await asyncio.sleep(0)
    raise Cancel("paid already")


@app.task(name="cleans up")
def cleans_up() -> None:
    try:
        paid.add(1)
        paid.add(2)
    finally:
        receipt.using(unique=True).enqueue(1)
        sent.append("finally")


def decorated(function: Callable[[int], None]) -> Callable[[int], None]:
    @functools.wraps(function)
    def wrapped(order: int) -> None:
        function(order)

    return wrapped


@app.task(name="is decorated")
@decorated
def is_decorated(order: int) -> None:
    paid.add(order)
    with _resource(), _resource():
        sent.append(order)


@contextlib.contextmanager
def _resource() -> Generator[None]:
    yield
