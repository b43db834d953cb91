"""What one claimer remembers from one claim to the next."""

from dataclasses import dataclass


@dataclass(slots=True)
class Sight:
    """How far a claimer has seen.

    Between a claim that found nothing and the question when the next job comes due, one may come due. So the answer
    counts from the claim, and not from when it was asked.
    """

    whole: bool = True
    """Whether the latest claim looked at all that there is."""
    missed: bool = False
    """Whether something came between the latest claim and a job that it was about to take: it is to be repeated."""
    until: int | None = None
    """The store's clock at the latest claim, in microseconds: what came due until then was seen by it."""

    def forget(self) -> None:
        """Let the next claim look at all that there is."""

    def look_wide(self) -> None:
        """Let the next claim look wherever a job may have been enqueued since the one before."""
