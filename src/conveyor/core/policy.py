"""What a task says about attempts that fail: whether to try again, and after how long."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from conveyor.core.backoff import DEFAULT_BACKOFF, Backoff
from conveyor.core.options import Duration, microseconds

Waits = Backoff | Callable[[int], Duration]
"""A rule, or a function from the number of the failed attempt to the wait."""
RetryOn = tuple[type[BaseException], ...] | Callable[[BaseException], bool]
"""The exceptions that are worth another attempt, or a function that says so."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one task."""

    backoff: Waits = DEFAULT_BACKOFF
    retry_on: RetryOn | None = None
    """``None`` for every ``Exception``, and every ``BaseException`` that a task raises."""

    def retries(self, error: BaseException) -> bool:
        """Whether *error* is worth another attempt. Raises what a function of the user's raises."""
        if self.retry_on is None:
            return True
        if callable(self.retry_on):
            return bool(self.retry_on(error))
        return isinstance(error, self.retry_on)

    def wait(self, attempt: int, chance: float, override: Backoff | None) -> int:
        """Microseconds until the attempt after *attempt*. Raises what a function of the user's raises."""
        rule = override or self.backoff
        if isinstance(rule, Backoff):
            return round(rule.seconds(attempt, chance) * 1_000_000)
        return microseconds("backoff", rule(attempt))


DEFAULT_POLICY: Final = Policy()


def checked_policy(backoff: object, retry_on: object) -> Policy:
    """A policy from what a task's options say; ``TypeError`` when they say something else."""
    if not isinstance(backoff, Backoff) and not callable(backoff):
        raise TypeError(
            f"backoff must be a Backoff, such as Backoff.fixed(10), or a function of the attempt, not {backoff!r}"
        )
    return Policy(cast(Waits, backoff), _retry_on(retry_on))


def _retry_on(value: object) -> RetryOn | None:
    if value is None:
        return None
    several = isinstance(value, tuple | list)
    kinds: tuple[object, ...] = tuple(cast(Sequence[object], value)) if several else (value,)
    if all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        return cast(tuple[type[BaseException], ...], kinds)
    if not several and callable(value) and not isinstance(value, type):
        return cast(RetryOn, value)
    raise TypeError(f"retry_on must be exception types, or a function that takes the exception, not {value!r}")
