"""What a test expects an enqueued job to be like, and in what respects one differs."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol, TypedDict, Unpack

from conveyor.core.clock import MICROSECOND, Start, moment
from conveyor.core.errors import UsageError
from conveyor.core.extras import Extras
from conveyor.core.lifecycle import State
from conveyor.core.options import Duration, Options, start
from conveyor.task import Call, Definition
from conveyor.testing.enqueued import Enqueued, arguments_of, written

APART: Final = timedelta(milliseconds=10)
"""So far apart, at most, jobs of one call come due."""

Difference = Callable[[Enqueued], str | None]
"""One respect: how a job differs in it, or ``None``."""


class What(Protocol):
    """A task, one with options, or a bound call."""

    @property
    def definition(self) -> Definition:
        """Of the task."""
        ...

    @property
    def options(self) -> Options:
        """Those of the task, or of one job."""
        ...


def checked(what: What) -> What:
    """*what*; ``TypeError`` for what is no task, a name above all."""
    if not isinstance(getattr(what, "definition", None), Definition):
        raise TypeError(f"{what!r} is no task: hand over the task itself, or a call of it such as task.bind(42)")
    return what


class Like(TypedDict, total=False):
    """What a job is to be like; all that is given must hold."""

    args: Sequence[object] | None
    kwargs: Mapping[str, object] | None
    """With *args* the whole call, whether values were passed by position or by name, or left to a default."""
    arguments: Mapping[str, object] | None
    """Some of the arguments, by parameter."""
    queue: str | None
    priority: int | None
    tags: Sequence[str] | None
    """Tags that it has, whichever others it has."""
    meta: Mapping[str, object] | None
    """Entries of its ``meta``, likewise."""
    run_after: datetime | Duration | None
    """A time, or how long after it was enqueued."""
    state: State | str | None
    where: Callable[[Enqueued], object] | None
    """Any other condition."""


class Wanted:
    """What a job is to be like."""

    def __init__(self, what: What | None, own: Options, **like: Unpack[Like]) -> None:
        """*own* are the options of the task: those that *what* has otherwise are wanted, too."""
        if unknown := like.keys() - Like.__annotations__.keys():
            known = ", ".join(Like.__annotations__)
            raise TypeError(f"a job cannot be told by {', '.join(sorted(unknown))}; there are {known}")
        self.task = None if what is None else what.definition.name
        self._call = self.task or "any job"
        self._words: list[str] = []
        self._differences: list[Difference] = []
        self._take_call(what, like)
        if what is not None:
            self._take_options(what.options, own)
        self._take(like)

    def __str__(self) -> str:
        """For messages."""
        return self._call + (f" with {', '.join(self._words)}" if self._words else "")

    def differences(self, job: Enqueued) -> list[str]:
        """All respects in which *job* is not what is wanted."""
        if self.task is not None and job.info.task != self.task:
            return [f"the task is not {self.task}"]
        return [found for differs in self._differences if (found := differs(job)) is not None]

    def _take_call(self, what: What | None, like: Like) -> None:
        args, kwargs = like.get("args"), like.get("kwargs")
        given = args is not None or kwargs is not None
        if isinstance(what, Call):
            if given:
                raise UsageError("a bound call has its arguments: give task.bind(42), or task and args=(42,)")
            args, kwargs = what.definition.codec.decode(what.payload)
        elif not given:
            return
        elif what is None:
            raise UsageError("args and kwargs are those of a task; say which, as in enqueued(task, args=(42,))")
        args, kwargs = args or (), kwargs or {}
        self._call = written(what.definition.name, args, kwargs)
        for name, value in arguments_of(what.definition, args, kwargs).items():
            self._differences.append(_argument(name, value))

    def _take_options(self, wanted: Options, own: Options) -> None:
        for name in ("queue", "priority", "max_attempts", "timeout"):
            value = getattr(wanted, name)
            if value != getattr(own, name):
                self._want(name, value * MICROSECOND if name == "timeout" and value is not None else value)
        if wanted.start != own.start:
            self._come_due(wanted.start)
        for name in Extras.__struct_fields__:
            if getattr(wanted.extras, name) != getattr(own.extras, name):
                value = _extra(wanted.extras, name)
                self._words.append(f"{name}={value!r}")
                self._differences.append(_same_extra(name, value))

    def _take(self, like: Like) -> None:
        for name, value in (like.get("arguments") or {}).items():
            self._words.append(f"{name}={value!r}")
            self._differences.append(_argument(name, value))
        for name in ("queue", "priority"):
            if like.get(name) is not None:
                self._want(name, like.get(name))
        state, tags, meta = like.get("state"), like.get("tags"), like.get("meta")
        if state is not None:
            self._want("state", State(state))
        if tags is not None:
            self._words.append(f"tags={[*tags]}")
            self._differences.append(_tags(frozenset(tags)))
        if meta is not None:
            self._words.append(f"meta={meta!r}")
            self._differences.append(_meta(meta))
        when, where = like.get("run_after"), like.get("where")
        if when is not None:
            self._come_due(start("run_after", when))
        if where is not None:
            self._words.append("where=...")
            self._differences.append(lambda job: None if where(job) else "where= says no")

    def _want(self, name: str, value: object) -> None:
        def differs(job: Enqueued) -> str | None:
            found = getattr(job.info, name)
            return None if found == value else f"{name} is {_shown(found)}, not {_shown(value)}"

        self._words.append(f"{name}={_shown(value)}")
        self._differences.append(differs)

    def _come_due(self, wanted: Start) -> None:
        after = wanted.delay * MICROSECOND
        time = moment(wanted.due)

        def differs(job: Enqueued) -> str | None:
            info = job.info
            if wanted.due:
                return None if info.run_after == time else f"run_after is {info.run_after}, not {time}"
            late = info.run_after - info.enqueued_at
            return None if after <= late < after + APART else f"run_after is {late} after it was enqueued, not {after}"

        self._words.append(f"run_after={time if wanted.due else after}")
        self._differences.append(differs)


def _argument(name: str, value: object) -> Difference:
    def differs(job: Enqueued) -> str | None:
        if name not in job.arguments:
            return f"{name} is no argument of it"
        found = job.arguments[name]
        if value == found:
            return None
        return f"{name} is another" if name in job.info.extras.redact else f"{name} is {found!r}, not {value!r}"

    return differs


def _same_extra(name: str, value: object) -> Difference:
    def differs(job: Enqueued) -> str | None:
        found = _extra(job.info.extras, name)
        return None if found == value else f"{name} is {found!r}, not {value!r}"

    return differs


def _extra(extras: Extras, name: str) -> object:
    """One of the rarer options, as one would write it."""
    if name == "tags":
        return [*extras.tag_list]
    return extras.meta_dict if name == "meta" else getattr(extras, name)


def _tags(wanted: frozenset[str]) -> Difference:
    def differs(job: Enqueued) -> str | None:
        missing = sorted(wanted - {*job.info.tags})
        return f"tags are {[*job.info.tags]}, without {', '.join(map(repr, missing))}" if missing else None

    return differs


def _meta(wanted: Mapping[str, object]) -> Difference:
    def differs(job: Enqueued) -> str | None:
        found = job.info.meta
        missing = {name: value for name, value in wanted.items() if name not in found or found[name] != value}
        return f"meta is {found}, without {missing}" if missing else None

    return differs


def _shown(value: object) -> str:
    return value.value if isinstance(value, State) else repr(value)
