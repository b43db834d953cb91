"""What is enqueued, and what was answered."""

from collections.abc import Callable
from functools import partial

from conveyor.cli.chaos.history import History
from conveyor.cli.chaos.tasks import Tasks
from conveyor.core.errors import OutcomeUnknown, StoreUnavailable
from conveyor.job import Job

Enqueue = Callable[[], Job[object]]


def calls(tasks: Tasks, slow: float, paying: float) -> dict[Enqueue, int]:
    """What it enqueues, and how often each in a hundred, if all kinds can be."""
    plain: dict[Enqueue, int] = {
        tasks.nothing.enqueue: 30,
        tasks.quick.enqueue: 20,
        partial(tasks.nap.enqueue, slow): 15,
        partial(tasks.doze.enqueue, slow): 10,
    }
    return plain | (transactional(tasks, paying) if tasks.transactions else {})


def awaited(tasks: Tasks, slow: float) -> dict[Enqueue, int]:
    """Those that a runner runs by itself, without a cell."""
    return {tasks.nothing.enqueue: 3, partial(tasks.nap.enqueue, slow): 1}


def transactional(tasks: Tasks, paying: float) -> dict[Enqueue, int]:
    """Those whose effect is in the transaction that ends them."""
    return {
        partial(tasks.pay.enqueue, 0.0): 8,
        partial(tasks.apay.enqueue, 0.0): 7,
        partial(tasks.pay.enqueue, paying): 5,
        partial(tasks.apay.enqueue, paying): 5,
    }


def enqueue(call: Enqueue, history: History) -> str:
    """Enqueue one job, and write down what was answered; gives its id, if that is known."""
    history.write("asked")
    try:
        job = call()
    except StoreUnavailable:
        history.write("refused")
    except OutcomeUnknown:
        history.write("unknown")
    else:
        history.write("accepted", job.id)
        return job.id
    return ""
