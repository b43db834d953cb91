"""Reads hostile bytes as stored ones, under an audit hook: ``python -m tests.support.audited 1 10000``.

Prints what Python was asked to do meanwhile (imports, code, files, processes), as JSON; nothing is right. The hook
cannot be taken out again, so this has a process of its own.
"""

import json
import pickle
import random
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from conveyor.core.clock import moment
from conveyor.core.codec import Codec
from conveyor.core.errors import PayloadError
from conveyor.core.extras import Extras, decoded
from conveyor.core.failure import Failure
from conveyor.core.model import Attempt, Progress, appended, read_attempts, read_progress
from tests.support.hostile import NOON, Address, Bomb, Cat, Checked, Colour, Customer, Dog, Model, Order, Pair

Reader = Callable[[bytes], object]


def bare(*args, **kwargs):  # type: ignore[no-untyped-def]  # noqa: ANN002, ANN003, ANN201 - it promises nothing
    return args, kwargs


def typed(when: datetime, where: Path | None = None, *people: Customer | Address, **models: Model) -> Order | None:
    return None


def mixed(x: Cat | Dog | int, y: "Pair | Colour | str" = "", z: Checked | list[Model] | None = None) -> list[datetime]:
    return []


BARE, TYPED, MIXED = (Codec(function, "t") for function in (bare, typed, mixed))
CALLS = [
    BARE.encode((1, "a", None), {"k": [1.5, {"a": True}]}),
    TYPED.encode((NOON, Path("a"), Customer("Eve", [Address("x")])), {"m": Model(x=1, when=NOON)}),
    MIXED.encode((Dog("Rex"), Pair.ONE, Checked(Model(x=1), NOON)), {}),
    TYPED.encode_result(Order(lines={"a": [Model(x=1)]})) or b"",
    MIXED.encode_result([NOON]) or b"",
    appended(None, Attempt(1, "retry", 5, 6, "r", Failure("ValueError", "no", "Traceback", "00"))),
    msgspec.json.encode(Progress(0.5, "half")),
    msgspec.json.encode(Extras(tags="\x1fa\x1f", meta=msgspec.Raw(b'{"a":1}'), redact=("card", 1))),
]
CRAFTED = [
    pickle.dumps(Bomb()),
    b'[["__import__(\'os\').system(\'true\')"],{"__class__":"os.system","__reduce__":["os.system",["true"]]}]',
    b'[[{"py/object":"os.system"}],{"$type":"System.Diagnostics.Process","!!python/object/apply:os.system":["true"]}]',
    b'[[{"type":"tests.support.hostile.Bomb","x":1}],{}]',
    b"[" * 200_000,
    b'{"a":' * 100_000,
    b'[[1],{"a":1}]' * 2,
    b'[{"zzz":' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
    b'{"meta":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"meta":5,"tags":5}',
    b"[[1e999],{}]",
    b"[[" + b"9" * 100_000 + b"],{}]",
    b'[["\\ud800"],{}]',
    b'[["\xed\xa0\x80"],{}]',
    b'[[{"a":1,"a":2}],{"k":1,"k":2}]',
    b"\xef\xbb\xbf[[],{}]",
    b"",
    b"\0",
]


def spoilt(rng: random.Random, data: bytes) -> bytes:
    """*data* with a few bytes changed, cut out, put in or doubled."""
    text = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text) + 1)
        match rng.randrange(4):
            case 0:
                text[at : at + 1] = rng.randbytes(1)
            case 1:
                del text[at : at + rng.randint(1, 5)]
            case 2:
                text[at:at] = rng.randbytes(rng.randint(1, 4))
            case _:
                text[at:at] = text[: rng.randrange(len(text) + 1)]
    return bytes(text)


def samples(seed: int, count: int) -> list[bytes]:
    """Hostile bytes: at random, nearly right, and made with care."""
    rng = random.Random(seed)
    noise = [rng.randbytes(rng.randint(0, 40)) for _ in range(count // 4)]
    nearly = [spoilt(rng, rng.choice(CALLS)) for _ in range(count - len(noise))]
    return [*CRAFTED, *CALLS, *noise, *nearly]


def call(codec: Codec) -> Reader:
    def read(data: bytes) -> object:
        try:
            return codec.decode(data)
        except (PayloadError, TypeError) as error:  # no call; or one of more arguments than the function takes
            return str(error).encode()

    return read


def result(codec: Codec) -> Reader:
    def read(data: bytes) -> object:
        try:
            return codec.decode_result(data)
        except PayloadError as error:
            return str(error).encode()

    return read


def extras(data: bytes) -> object:
    found = decoded(data)
    return found.tag_list, found.meta_dict


def attempts(data: bytes) -> object:
    return [(moment(one.started_at), str(one.error)) for one in read_attempts(data)]


HARMLESS = {"builtins.id"}

READERS: dict[str, Reader] = {
    "bare call": call(BARE),
    "typed call": call(TYPED),
    "mixed call": call(MIXED),
    "bare result": result(BARE),
    "typed result": result(TYPED),
    "mixed result": result(MIXED),
    "attempts": attempts,
    "one more attempt": lambda data: read_attempts(appended(data, Attempt(1, "fail", 1, 2))),
    "progress": read_progress,
    "extras": extras,
}


def audit(data: list[bytes]) -> list[Any]:
    """What Python was asked to do while all of *data* was read by everybody."""
    for read in READERS.values():  # the first time, annotations are read, which may well compile something
        for one in (*CALLS, *CRAFTED):
            read(one)
    asked: list[tuple[str, str]] = []
    watching = True

    def hook(event: str, args: tuple[object, ...]) -> None:
        if watching and event not in HARMLESS:
            asked.append((event, repr(args)[:100]))

    sys.addaudithook(hook)
    for one in data:
        for read in READERS.values():
            read(one)
    watching = False
    return asked


if __name__ == "__main__":
    seed, count = map(int, sys.argv[1:])
    found = audit(samples(seed, count))
    print(json.dumps({"samples": count, "asked": found[:20]}))  # noqa: T201 - that is how it answers
