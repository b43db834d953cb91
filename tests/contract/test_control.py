"""What people do to jobs: cancel, ask to stop, run once more, hurry, delete; by filters, in passes."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from conveyor.core import ids
from conveyor.core.clock import MICROSECOND, stored
from conveyor.core.lifecycle import FINAL, TAKEN_BACK, Event, State, ending, targets
from conveyor.core.model import JobFilter, JobInfo, NewJob, Outcome
from conveyor.plan import Plan
from conveyor.store.answers import Pass
from conveyor.store.contract import Store
from tests.contract.test_reading import one_of_each
from tests.support.jobs import (
    CHANGED_ITS_MIND,
    FINGERPRINT,
    HOUR,
    QUEUE,
    Hand,
    Hire,
    enqueue,
    new_job,
    new_jobs,
    outcome,
    rescue,
    see,
    tagged,
)
from tests.support.stores import age, pass_time, tables

Turn = Callable[[JobFilter, int, bytes | None], Plan[Pass]]
ANY = JobFilter()
REASON = "tâche.Ω.😀 a'b\"c%s%(x)s{y}\n"


def only(*jobs: bytes) -> JobFilter:
    return JobFilter(ids=jobs)


def cancel(store: Store, where: JobFilter = ANY, reason: str = "enough") -> Pass:
    return store.run(store.control.cancel(where, reason, 100, None))


def ask(store: Store, where: JobFilter = ANY, reason: str = "stop") -> Pass:
    return store.run(store.control.ask(where, reason, 100, None))


def revive(store: Store, where: JobFilter = ANY) -> Pass:
    return store.run(store.control.revive(where, 100, None))


def ended(store: Store, hand: Hand, *jobs: NewJob, event: Event = Event.FAIL) -> list[JobInfo]:
    """Run *jobs*, and end them so."""
    enqueue(store, *jobs)
    for claimed in hand.take(len(jobs)):
        hand.end(claimed, event)
    return [see(store, job.id) for job in jobs]


# ------------------------------------------------------------------- cancel


def test_every_waiting_job_is_cancelled_and_no_other(store: Store, hire: Hire) -> None:
    made = one_of_each(store, hire)
    before = {state: see(store, id_) for state, id_ in made.items()}
    done = cancel(store, reason=REASON)
    waiting = {State.SCHEDULED, State.READY, State.RETRYABLE}
    assert (done.picked, done.changed, done.labels) == (3, 3, {QUEUE.encode()})
    for state, id_ in made.items():
        info = see(store, id_)
        if state in waiting:
            assert (info.state, info.cancelled, info.result) == (State.CANCELLED, REASON, None)
            assert info.finished_at is not None
            assert (info.attempt, info.attempts, info.token) == (
                before[state].attempt,
                before[state].attempts,
                before[state].token,
            )
        else:
            assert info == before[state]
    assert cancel(store) == Pass(0, 0, frozenset(), None)


def test_a_cancelled_job_is_not_claimed(store: Store, hand: Hand) -> None:
    late, soon = new_job(delay=HOUR), new_job()
    enqueue(store, late, soon)
    cancel(store)
    pass_time(store, 3601)
    assert hand.claim() == []
    assert tables(store) == (0, 2)


# ---------------------------------------------------------------------- ask


def test_only_running_jobs_are_asked_and_each_once(store: Store, hire: Hire) -> None:
    made = one_of_each(store, hire)
    before = {state: see(store, id_) for state, id_ in made.items()}
    done = ask(store, reason=REASON)
    assert (done.picked, done.changed, done.last) == (1, 1, made[State.RUNNING])
    assert ask(store, reason="later").picked == 0
    for state, id_ in made.items():
        info = see(store, id_)
        assert info.cancelled == (REASON if state is State.RUNNING else before[state].cancelled)
        assert (info.state, info.token) == (state, before[state].token)


def test_a_runner_hears_of_its_own_jobs(store: Store, hire: Hire) -> None:
    first, second = hire(), hire()
    enqueue(store, *new_jobs(4))
    mine, theirs = first.take(2), second.take(2)
    ask(store, only(mine[0].id, theirs[0].id))
    for hand, job in ((first, mine[0]), (second, theirs[0])):
        asked = store.run(store.operations.asked(hand.id))
        assert [(bytes(id_), token, reason) for id_, token, reason in asked] == [(job.id, job.token, "stop")]
    first.settle(outcome(mine[0], first.id, Event.SUCCEED))
    assert store.run(store.operations.asked(first.id)) == []


@pytest.mark.parametrize(
    "event", [event for event in Event if targets(State.RUNNING, event) and event not in TAKEN_BACK]
)
def test_a_job_that_was_asked_ends_by_itself_or_as_cancelled(store: Store, hand: Hand, event: Event) -> None:
    job = new_job()
    enqueue(store, job)
    claimed = hand.take_one()
    ask(store)
    answer = hand.answer(outcome(claimed, hand.id, event, delay=HOUR))
    info = see(store, job.id)
    goes_on = ending(event) is None
    assert answer == (frozenset(), {job.id} if goes_on else frozenset())
    assert info.state is (State.CANCELLED if goes_on else ending(event))
    reasons = {Event.CANCEL: CHANGED_ITS_MIND, Event.EXPIRE: "expired"}
    assert info.cancelled == ("stop" if goes_on else reasons.get(event))
    assert [attempt.event for attempt in info.attempts] == [event] * (event in {Event.RETRY, Event.FAIL})
    assert tables(store) == (0, 1)
    assert hand.answer(outcome(claimed, hand.id, event, delay=HOUR)) == answer  # the first may have been lost
    assert see(store, job.id) == info


def test_a_batch_may_hold_outcomes_of_jobs_that_were_asked_and_of_others(store: Store, hand: Hand) -> None:
    jobs = new_jobs(40)
    enqueue(store, *jobs)
    taken = hand.take(40)
    events = [Event.RETRY, Event.SUCCEED, Event.RELEASE, Event.FAIL, Event.SNOOZE]
    asked = {job.id for place, job in enumerate(taken) if place % 3 == 0}
    ask(store, only(*asked))
    given = {job.id: events[place % 5] for place, job in enumerate(taken)}
    strange = Outcome(new_job().id, 1, hand.id, Event.RETRY)
    answer = hand.answer(*(outcome(job, hand.id, given[job.id]) for job in taken), strange)
    stopped = {id_ for id_ in asked if ending(given[id_]) is None}
    assert answer == ({strange.id}, stopped)
    for id_, event in given.items():
        wanted = State.CANCELLED if id_ in stopped else ending(event) or State.READY
        assert see(store, id_).state is wanted


def test_a_job_that_was_asked_and_whose_runner_died_ends_as_cancelled(store: Store, hire: Hire) -> None:
    job, dead = new_job(), hire()
    enqueue(store, job)
    late = dead.take_one()
    ask(store)
    dead.die()
    assert rescue(store) == 1
    info = see(store, job.id)
    assert (info.state, info.cancelled, info.crashes) == (State.CANCELLED, "stop", 1)
    assert dead.answer(outcome(late, dead.id, Event.RETRY)).refused == {job.id}
    assert see(store, job.id) == info


def test_to_call_off_is_both_at_once(store: Store, hire: Hire) -> None:
    made = one_of_each(store, hire)
    before = {state: see(store, id_) for state, id_ in made.items()}
    done = store.run(store.control.call_off(ANY, REASON, 100, None))
    assert (done.picked, done.changed, done.asked) == (4, 4, 1)
    for state, id_ in made.items():
        info = see(store, id_)
        if state.final:
            assert info == before[state]
        else:
            assert info.cancelled == REASON
            assert info.state is (State.RUNNING if state is State.RUNNING else State.CANCELLED)
    assert store.run(store.control.call_off(ANY, REASON, 100, None)).picked == 0


# ------------------------------------------------------------------- revive


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_job_that_has_ended_is_ready_once_more(store: Store, hand: Hand, state: State) -> None:
    events = {ending(event): event for event in (Event.SUCCEED, Event.FAIL, Event.CANCEL, Event.QUARANTINE)}
    job = new_job(queue="q", priority=4, max_attempts=1, args=b"[[7],{}]", extras=tagged("a"))
    enqueue(store, job._replace(timeout=5, keep=77))
    (claimed,) = hand.claim({"q": 1})
    done = outcome(claimed, hand.id, events[state])._replace(crash=True)
    assert hand.settle(done) == frozenset()
    before = see(store, job.id)
    assert before.state is state
    back = revive(store)
    assert (back.picked, back.changed, back.labels, back.last) == (1, 1, {b"q"}, job.id)
    info = see(store, job.id)
    assert tables(store) == (1, 0)
    assert (info.state, info.attempt, info.max_attempts, info.crashes) == (State.READY, 1, 2, 0)
    assert (info.result, info.cancelled, info.finished_at, info.expires_at, info.runner) == (None,) * 5
    assert stored(info.run_after) >= claimed.last_attempted_at
    for name in ("task", "queue", "priority", "timeout", "payload", "extras", "attempts", "token", "enqueued_at"):
        assert getattr(info, name) == getattr(before, name), name
    (again,) = hand.claim({"q": 1})
    assert (again.attempt, again.crashes) == (2, 0)
    assert again.token > claimed.token
    hand.end(again, Event.SUCCEED)
    info = see(store, job.id)
    assert info.delete_after is not None
    assert info.finished_at is not None
    assert info.delete_after - info.finished_at == 77 * MICROSECOND


def test_attempts_that_are_left_are_not_added_to(store: Store, hand: Hand) -> None:
    (info,) = ended(store, hand, new_job(max_attempts=5))
    revive(store)
    assert see(store, ids.parse(info.id)).max_attempts == 5


def test_a_late_repeat_of_the_outcome_that_ended_it_is_not_refused_until_it_runs_anew(store: Store, hand: Hand) -> None:
    enqueue(store, new_job())
    claimed = hand.take_one()
    written = outcome(claimed, hand.id, Event.FAIL)
    hand.settle(written)
    revive(store)
    before = see(store, claimed.id)
    assert hand.settle(written) == frozenset()
    assert see(store, claimed.id) == before
    hand.take_one()
    assert hand.settle(written) == {claimed.id}


def test_only_what_waits_for_its_time_is_hurried(store: Store, hire: Hire) -> None:
    made = one_of_each(store, hire)
    before = {state: see(store, id_) for state, id_ in made.items()}
    done = store.run(store.control.hasten(ANY, 100, None))
    assert (done.picked, done.changed) == (2, 2)
    for state, id_ in made.items():
        info = see(store, id_)
        if state in {State.SCHEDULED, State.RETRYABLE}:
            assert info.state is State.READY
            assert (info.attempt, info.attempts, info.token) == (
                before[state].attempt,
                before[state].attempts,
                before[state].token,
            )
        else:
            assert info == before[state]


# ------------------------------------------------------------------- delete


def test_what_waits_and_what_has_ended_can_be_deleted_and_what_runs_cannot(store: Store, hire: Hire) -> None:
    made = one_of_each(store, hire)
    gone = store.run(store.control.delete_waiting(ANY, 100, None))
    assert (gone.picked, gone.changed) == (3, 3)
    assert tables(store)[0] == 1
    assert see(store, made[State.RUNNING]).state is State.RUNNING
    past = store.run(store.control.delete_ended(ANY, 100, None))
    assert (past.picked, past.changed) == (4, 4)
    assert tables(store) == (1, 0)
    assert store.run(store.operations.get(made[State.SUCCEEDED])) is None


def test_the_outcome_of_a_job_that_was_cancelled_and_deleted_meanwhile_is_refused(store: Store, hand: Hand) -> None:
    enqueue(store, new_job())
    claimed = hand.take_one()
    hand.end(claimed, Event.SUCCEED)
    store.run(store.control.delete_ended(ANY, 100, None))
    assert hand.settle(outcome(claimed, hand.id, Event.SUCCEED)) == {claimed.id}
    assert tables(store) == (0, 0)


# ----------------------------------------------------- passes, and whose jobs


@pytest.mark.parametrize("name", ["cancel", "ask", "call_off", "hasten", "delete_waiting", "revive", "delete_ended"])
def test_passes_go_through_all_jobs_in_the_order_of_their_ids(store: Store, hand: Hand, name: str) -> None:
    control = store.control
    turns: dict[str, Turn] = {
        "cancel": lambda where, limit, after: control.cancel(where, "enough", limit, after),
        "ask": lambda where, limit, after: control.ask(where, "stop", limit, after),
        "call_off": lambda where, limit, after: control.call_off(where, "stop", limit, after),
    }
    jobs = [job._replace(delay=HOUR if name == "hasten" else 0) for job in new_jobs(7)]
    enqueue(store, *jobs)
    if name in {"ask", "revive", "delete_ended"}:
        for claimed in hand.take(7):
            if name != "ask":
                hand.end(claimed, Event.FAIL)
    turn = turns.get(name) or getattr(control, name)
    in_order = sorted(job.id for job in jobs)
    after, seen = None, []
    while (found := store.run(turn(ANY, 3, after))).picked:
        seen.append((found.picked, found.changed, found.last))
        after = found.last
    assert seen == [(3, 3, in_order[2]), (3, 3, in_order[5]), (1, 1, in_order[6])]


FILTERS: dict[str, tuple[Callable[[list[JobInfo]], JobFilter], list[int]]] = {
    "queue": (lambda _: JobFilter(queue="b"), [1, 3]),
    "task": (lambda _: JobFilter(task="t1"), [2, 3]),
    "tag": (lambda _: JobFilter(tag="x"), [0, 3]),
    "a tag that is part of another": (lambda _: JobFilter(tag="xy"), [1]),
    "a tag that looks like JSON": (lambda _: JobFilter(tag='a"b\\'), [2]),
    "ids": (lambda jobs: JobFilter(ids=(ids.parse(jobs[2].id), ids.new(), ids.parse(jobs[0].id))), [0, 2]),
    "no ids": (lambda _: JobFilter(ids=()), []),
    "since": (lambda jobs: JobFilter(enqueued_after=stored(jobs[2].enqueued_at)), [2, 3]),
    "until": (lambda jobs: JobFilter(enqueued_before=stored(jobs[2].enqueued_at)), [0, 1]),
    "several": (lambda _: JobFilter(queue="b", tag="x"), [3]),
    "nothing at all": (lambda _: JobFilter(queue=""), []),
}


def of_all_kinds(store: Store) -> list[NewJob]:
    """Four jobs, each enqueued at a time of its own."""
    tags = [("x",), ("xy", "z"), ('a"b\\',), ("w", "x")]
    kinds = [(queue, task) for task in ("t0", "t1") for queue in "ab"]
    jobs = [
        new_job(queue=queue, task=task, extras=tagged(*some)) for (queue, task), some in zip(kinds, tags, strict=True)
    ]
    for job in jobs:
        enqueue(store, job)
    return jobs


def listed(store: Store, where: JobFilter) -> set[str]:
    """The ids of the jobs of *where*, which must be counted as they are listed."""
    found = store.run(store.operations.list(where, limit=10, after=None, direction="oldest"))
    assert sum(store.run(store.operations.counts(where)).values()) == len(found)
    assert store.run(store.operations.number(where)) == len(found)
    return {info.id for info in found}


@pytest.mark.parametrize("over", [False, True])
def test_filters_say_whose_jobs_waiting_or_ended(store: Store, hand: Hand, over: bool) -> None:
    jobs = of_all_kinds(store)
    if over:
        pass_time(store, 1)
        for claimed in hand.claim({"a": 9, "b": 9}, ["t0", "t1"]):
            hand.end(claimed, Event.FAIL)
    infos = [see(store, job.id) for job in jobs]
    for name, (made, meant) in FILTERS.items():
        assert listed(store, made(infos)) == {infos[place].id for place in meant}, name


@pytest.mark.parametrize("name", ["tag", "ids", "no ids", "since", "several"])
def test_changes_are_about_the_same_jobs(store: Store, name: str) -> None:
    jobs = of_all_kinds(store)
    made, meant = FILTERS[name]
    where = made([see(store, job.id) for job in jobs])
    assert cancel(store, where).changed == len(meant)
    assert [place for place, job in enumerate(jobs) if see(store, job.id).state is State.CANCELLED] == meant
    cancel(store)
    assert revive(store, where).changed == len(meant)
    assert [place for place, job in enumerate(jobs) if see(store, job.id).state is State.READY] == meant


def test_ended_jobs_are_chosen_by_their_error_and_by_their_end(store: Store, hand: Hand) -> None:
    failed, succeeded, old = new_jobs(3)
    ended(store, hand, old)
    age(store, 100)
    ended(store, hand, succeeded, event=Event.SUCCEED)
    (info,) = ended(store, hand, failed)
    assert info.finished_at is not None
    now = stored(info.finished_at)
    waiting = new_job()
    enqueue(store, waiting)

    def chosen(where: JobFilter) -> set[bytes]:
        return set(map(ids.parse, listed(store, where)))

    assert chosen(JobFilter(fingerprint=FINGERPRINT)) == {failed.id, old.id}
    assert chosen(JobFilter(fingerprint="another")) == set()
    assert chosen(JobFilter(finished_before=now - 50_000_000)) == {old.id}
    assert chosen(JobFilter(finished_before=now + 1)) == {failed.id, succeeded.id, old.id}
    assert cancel(store, JobFilter(fingerprint=FINGERPRINT)).picked == 0
    assert store.run(store.control.delete_ended(JobFilter(finished_before=now - 50_000_000), 10, None)).changed == 1
    assert chosen(ANY) == {failed.id, succeeded.id, waiting.id}


def test_states_narrow_what_a_change_is_about(store: Store, hire: Hire) -> None:
    made = one_of_each(store, hire)
    assert cancel(store, JobFilter(states=(State.RETRYABLE, State.FAILED))).changed == 1
    assert see(store, made[State.RETRYABLE]).state is State.CANCELLED
    assert revive(store, JobFilter(states=(State.FAILED, State.READY))).changed == 1
    assert see(store, made[State.FAILED]).state is State.READY
    assert revive(store, JobFilter(states=(State.READY,))) == Pass(0, 0, frozenset(), None)
    assert store.run(store.control.hasten(JobFilter(states=(State.READY,)), 10, None)).picked == 0


# ------------------------------------------------------ time to go, to start


def test_a_job_that_is_claimed_when_its_time_is_over_says_so(store: Store, hand: Hand) -> None:
    enqueue(store, new_job()._replace(expires=1_000_000), new_job()._replace(expires=HOUR))
    pass_time(store, 60)
    over = {job.expires_at is not None and job.expires_at <= job.last_attempted_at for job in hand.take(2)}
    assert over == {True, False}


def test_what_expires_counts_from_its_time(store: Store) -> None:
    job, for_ever = new_job(delay=HOUR)._replace(expires=60_000_000), new_job()
    enqueue(store, job, for_ever)
    info = see(store, job.id)
    assert info.expires_at is not None
    assert stored(info.expires_at) - stored(info.run_after) == 60_000_000
    assert see(store, for_ever.id).expires_at is None


def test_upkeep_ends_what_waits_beyond_its_time_and_nothing_else(store: Store, hand: Hand) -> None:
    waiting, snoozed, retried, running = (new_job()._replace(expires=60_000_000) for _ in range(4))
    for job, event in ((running, None), (snoozed, Event.SNOOZE), (retried, Event.RETRY)):
        enqueue(store, job)
        claimed = hand.take_one()
        if event:
            hand.end(claimed, event, delay=HOUR)
    later, for_ever, soon = new_job(delay=HOUR)._replace(expires=1), new_job(), new_job()._replace(expires=HOUR)
    enqueue(store, waiting, later, for_ever, soon)
    assert store.run(store.control.expire(10)).picked == 0
    pass_time(store, 61)
    first = store.run(store.control.expire(2))
    assert (first.picked, first.changed) == (2, 2)
    assert store.run(store.control.expire(10)).changed == 1
    assert store.run(store.control.expire(10)).picked == 0
    over = {job.id: see(store, job.id) for job in (waiting, snoozed, retried)}
    assert {(info.state, info.cancelled) for info in over.values()} == {(State.CANCELLED, "expired")}
    assert see(store, retried.id).attempt == 1
    assert see(store, running.id).state is State.RUNNING
    assert tables(store) == (4, 3)


def test_a_job_that_is_wanted_once_more_expires_no_more(store: Store, hand: Hand) -> None:
    job = new_job()._replace(expires=1)
    enqueue(store, job)
    pass_time(store, 1)
    assert store.run(store.control.expire(10)).changed == 1
    revive(store)
    pass_time(store, 100)
    assert store.run(store.control.expire(10)).picked == 0
    assert hand.take_one().expires_at is None


@pytest.mark.parametrize("event", [Event.SUCCEED, Event.FAIL, Event.CANCEL])
def test_an_ended_job_stays_as_long_as_it_was_told_to(store: Store, hand: Hand, event: Event) -> None:
    usual, short, for_ever, none = new_jobs(4)
    jobs = (usual, short._replace(keep=3_600_000_000), for_ever._replace(keep=-1), none._replace(keep=0))
    ended(store, hand, *jobs, event=event)
    infos = [see(store, job.id) for job in jobs]
    stays = [info.delete_after and info.delete_after - (info.finished_at or info.delete_after) for info in infos]
    assert stays == [timedelta(days=30), timedelta(hours=1), None, timedelta(0)]
    assert store.run(store.control.prune(10)) == 1
    age(store, 3_601)
    assert store.run(store.control.prune(10)) == 1
    age(store, 100 * 86_400)
    assert store.run(store.control.prune(10)) == 1
    assert store.run(store.control.prune(10)) == 0
    assert see(store, for_ever.id).state is ending(event)


def test_what_never_ran_stays_as_long_as_it_was_told_to(store: Store) -> None:
    cancelled, expired = new_job()._replace(keep=5_000_000), new_job()._replace(keep=-1, expires=1)
    enqueue(store, cancelled, expired)
    pass_time(store, 1)
    store.run(store.control.expire(10))
    cancel(store)
    info = see(store, cancelled.id)
    assert info.delete_after is not None
    assert info.finished_at is not None
    assert (info.delete_after - info.finished_at).total_seconds() == 5
    assert see(store, expired.id).delete_after is None


def test_old_jobs_go_so_many_at_a_time(store: Store, hand: Hand) -> None:
    ended(store, hand, *(job._replace(keep=0) for job in new_jobs(5)))
    enqueue(store, new_job()._replace(keep=0))
    assert [store.run(store.control.prune(2)) for _ in range(4)] == [2, 2, 1, 0]
    assert tables(store) == (1, 0)
