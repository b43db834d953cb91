"""What becomes of a hostile value at one door: it comes back as it was, or is refused with its path. Else its story."""

import re
from collections.abc import Callable
from typing import Final

from conveyor.core.codec import Codec
from conveyor.core.errors import PayloadError
from tests.support.hostile import same

Function = Callable[..., object]

REFUSED: Final = "refused"
SAME: Final = "same"
TASK: Final = "shop.buy"

PATHS: Final = r"(x|rest|key|more|result|shop\.buy)[\[.{:]"


def annotated(function: Function, hint: object) -> Function:
    """*function*, each of its parameters and its result being *hint*."""
    function.__annotations__ = dict.fromkeys(("x", "rest", "key", "more", "return"), hint)
    return function


def without_annotations(function: Function) -> Function:
    function.__annotations__ = {}
    return function


def judged(error: BaseException) -> str:
    """A refusal is a ``PayloadError`` that begins with a path, and can be shown, stored and sent on."""
    if type(error) is not PayloadError:
        return f"raised {type(error).__name__}"
    text = str(error)
    fine = re.match(PATHS, text) and len(text) < 2_000
    return REFUSED if fine and text.encode() else f"refused without a path: {text:.80}"


def sent(function: Function, args: tuple[object, ...], kwargs: dict[str, object]) -> str:
    """What became of a call, as another process would get it."""
    try:
        data = Codec(function, TASK).encode(args, kwargs)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is judged
        return judged(error)
    back, named = Codec(function, TASK).decode(data)
    return SAME if same(list(args), back) and same(kwargs, named) else f"came back as {back!r:.80} {named!r:.80}"


def returned(function: Function, value: object) -> str:
    """What became of a result."""
    try:
        data = Codec(function, TASK).encode_result(value)
    except BaseException as error:  # noqa: BLE001 - as above
        return judged(error)
    back = Codec(function, TASK).decode_result(data)
    return SAME if same(value, back) else f"came back as {back!r:.80}"
