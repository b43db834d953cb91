"""U01, U03: two versions of the code at a time. What does not fit the one waits for the other, unharmed."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from conveyor import Conveyor, JobInfo, State
from conveyor.core.redact import HIDDEN
from tests.support.stores import SHARED, sqlite_url

CARD = "4111222233334444"


class Versions:
    """The code before a deploy and after it, on one store."""

    def __init__(self, url: str) -> None:
        self.old, self.new = Conveyor(url), Conveyor(url)
        self.ran: list[str] = []

        @self.old.task(name="mail", max_attempts=1)
        async def mail(user: int, *, plan: str = "free") -> None:
            self.ran.append(f"mail {user} {plan}")

        @self.old.task(name="pay", redact=["card"], transactional=True)
        def pay(card: str, amount: int) -> None:
            self.ran.append(f"pay {amount}")

        @self.old.task(name="gone")
        def gone() -> None:
            self.ran.append("gone")

        self.jobs = [mail.enqueue(7, plan="pro"), pay.enqueue(CARD, 5), gone.enqueue()]

        @self.new.task(name="mail")
        async def mail_now(user: int) -> None:
            self.ran.append(f"mail {user}")

        @self.new.task(name="pay", transactional=True)
        def pay_now(amount: int) -> None:
            self.ran.append(f"pay {amount}")

    @property
    def seen(self) -> list[JobInfo]:
        return [job.refresh() for job in self.jobs]


@pytest.fixture(params=SHARED)
def versions(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Versions]:
    postgres = request.param == "postgres"
    made = Versions(request.getfixturevalue("postgres_url") if postgres else sqlite_url(tmp_path))
    yield made
    made.old.close()
    made.new.close()


def test_what_does_not_fit_new_code_is_given_back_with_a_reason_and_run_by_the_code_that_it_fits(
    versions: Versions, caplog: pytest.LogCaptureFixture
) -> None:
    for tries in (1, 2):
        assert versions.new.run_worker(burst=True) == 0
        mail, pay, gone = versions.seen
        assert (gone.state, gone.attempt, gone.token, gone.attempts) == (State.READY, 0, 0, ())
        for info in (mail, pay):
            assert (info.state, info.attempt, len(info.attempts)) == (State.RETRYABLE, 0, tries)
            assert info.last_attempted_at is not None
            wait = info.run_after - info.last_attempted_at
            assert timedelta(seconds=3.7) * tries < wait < timedelta(seconds=5) * tries + timedelta(seconds=60)
        versions.new.jobs.retry(mail.id, pay.id)
    why = versions.new.jobs.why(mail.id)
    assert "its arguments do not fit the code of worker" in why
    assert "mail(user: int) -> None: got an unexpected keyword argument 'plan'" in why
    assert pay.error is not None
    assert pay.error.message.endswith("pay(amount: int) -> None: too many positional arguments")
    assert CARD not in caplog.text
    assert HIDDEN not in caplog.text
    assert versions.ran == []
    assert versions.old.run_worker(burst=True) == 0
    assert [(info.state, info.attempt) for info in versions.seen] == [(State.SUCCEEDED, 1)] * 3
    assert sorted(versions.ran) == ["gone", "mail 7 pro", "pay 5"]


def test_what_the_code_itself_raises_is_no_misfit(versions: Versions) -> None:
    @versions.new.task(name="gone")
    def gone() -> None:
        versions.new.tasks["mail"].enqueue(1, 2, 3)

    assert versions.new.run_worker(burst=True) == 0
    info = versions.seen[-1]
    assert (info.attempt, [attempt.event for attempt in info.attempts]) == (1, ["retry"])
