"""How JSON is read back as what an annotation says, and how what msgspec does not know is written.

msgspec reads most annotations by itself. What it refuses is taken apart here: unions of kinds that JSON writes alike,
pydantic models among other things, enumerations of any value. A reading may be wrong: whoever encodes compares.
"""

import contextlib
import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Final, cast

import msgspec
from msgspec import inspect as described

from conveyor.core.values import is_model, kind_of

Reader = Callable[[object], object]
"""Makes of decoded JSON what an annotation says. Raises whatever it likes when it cannot."""

RESULT: Final = "return"
"""The name of the result among the annotations."""

_canonical = msgspec.json.Encoder(order="deterministic").encode
_TAKEN: Final[Mapping[type, Sequence[type]]] = {
    described.StrType: (str,),
    described.IntType: (int,),
    described.FloatType: (float, int),
    described.BoolType: (bool,),
    described.NoneType: (type(None),),
    described.ListType: (list,),
    described.DictType: (dict,),
    described.AnyType: (str, int, float, bool, type(None), list, dict),
}
"""Which decoded JSON an annotation that changes none of it takes."""


# ----------------------------------------------------------------- writing


def written(value: object) -> object:
    """What msgspec does not know, as JSON can say it. ``TypeError`` when that is not known either.

    A model is written without the fields that were not set, if that tells it: so they are not set in the task either.
    """
    return _written(value, _told_by_what_is_set)


def written_whole(value: object) -> object:
    """The same with all fields of a model: among others it may be told by a default."""
    return _written(value, _dumped)


def _written(value: object, dump: Callable[["_Model"], object]) -> object:
    if isinstance(value, PurePath):
        return str(value)
    if is_model(type(value)):
        return dump(cast(_Model, value))
    raise TypeError(f"Encoding objects of type {kind_of(value)} is unsupported")


class _Model(typing.Protocol):
    """As much of a pydantic model as is used here."""

    def model_dump(self, **options: object) -> object: ...

    @classmethod
    def model_validate_json(cls, data: bytes, **options: object) -> object: ...


def _told_by_what_is_set(model: _Model) -> object:
    data = _dumped(model, exclude_unset=True)
    back = _validated(type(model), data)
    return data if back == model and _set(back) == _set(model) else _dumped(model)


def _dumped(model: _Model, *, exclude_unset: bool = False) -> object:
    by_alias = not _by_name(type(model))
    return model.model_dump(
        mode="json", round_trip=True, warnings=False, by_alias=by_alias, exclude_unset=exclude_unset
    )


def _validated(kind: type[_Model], data: object) -> object:
    # From JSON: a strict model takes text for a date there, and nowhere else.
    names = {"by_alias": False, "by_name": True} if _by_name(kind) else {}
    return kind.model_validate_json(_canonical(data), **names)


@lru_cache(256)
def _by_name(kind: type[_Model]) -> bool:
    """Whether fields can go by their own names, as since pydantic 2.11: an alias need not be the same both ways."""
    return "by_name" in inspect.signature(kind.model_validate_json).parameters


def _set(model: object) -> object:
    return getattr(model, "model_fields_set", None)


# ----------------------------------------------------------------- reading


def reader(hint: object) -> Reader | None:
    """What reads JSON as *hint* describes; ``None`` when nothing has to be done, or nobody knows what."""
    try:
        info = described.type_info(hint)
    except Exception:  # noqa: BLE001 - an annotation is the user's code, or more than msgspec knows
        return _taken_apart(hint)
    if _carried(info):
        return None
    wanted = cast(type[object], hint)
    return lambda value: msgspec.convert(value, wanted, str_keys=True, dec_hook=_revived)


def _carried(info: described.Type) -> bool:
    """Whether JSON by itself carries what *info* describes, so that nothing has to be converted."""
    match info:
        case described.ListType(item_type=item):
            return _carried(item)
        case described.DictType(key_type=described.AnyType() | described.StrType(), value_type=item):
            return _carried(item)
        case described.UnionType(types=arms):
            return all(map(_carried, arms))
        case described.CustomType(cls=kind):
            return kind is object
        case described.DictType():
            return False
        case _:
            return type(info) in _TAKEN or isinstance(info, described.LiteralType)


def _revived(hint: type, value: object) -> object:
    """*value* as a type that msgspec does not know; msgspec checks what comes out."""
    if is_model(hint):
        return _validated(cast(type[_Model], hint), value)
    if issubclass(hint, PurePath) and isinstance(value, str):
        return hint(value)
    return value


def _taken_apart(hint: object) -> Reader | None:
    hint = _bare(hint)
    parts, origin = typing.get_args(hint), typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        return _any_of(parts)
    if origin is typing.Literal:
        return _one_of(parts)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _one_of(list(hint))
    return _container(origin, parts)


def _container(kind: object, parts: Sequence[object]) -> Reader | None:
    if kind is tuple and parts[-1] is not Ellipsis:
        return _row([reader(part) for part in parts])
    if kind is list or kind is set or kind is frozenset or kind is tuple:
        return _many(cast(Callable[[object], object], kind), reader(parts[0]))
    if kind is dict and parts[0] is str:
        return _mapping(reader(parts[1]))
    return None


def _bare(hint: object) -> object:
    """*hint* without what only says more about it: ``Annotated``, ``NewType``, ``type X = ...``."""
    while True:
        if typing.get_origin(hint) is typing.Annotated:
            hint = typing.get_args(hint)[0]
        elif (inner := getattr(hint, "__supertype__", None) or getattr(hint, "__value__", None)) is not None:
            hint = inner
        else:
            return hint


def _any_of(arms: Sequence[object]) -> Reader:
    """The first arm that can read it; but what JSON carries by itself is left alone where the annotation allows it.

    So text is never taken for the path of ``str | Path``: what is refused does not depend on what a value says.
    """
    kinds = {kind for arm in arms for kind in _kinds(arm)}
    readers = [found for arm in arms if (found := _literal(arm) or reader(arm)) is not None]

    def read(value: object) -> object:
        if type(value) not in kinds:
            for one in readers:
                try:
                    return one(value)
                except Exception:  # noqa: BLE001, S112 - also what the user's own types raise; another arm may fit
                    continue
        return value

    return read


def _kinds(arm: object) -> Sequence[type]:
    """The types of decoded JSON that *arm* takes as they are."""
    try:
        info = described.type_info(arm)
    except Exception:  # noqa: BLE001 - as in reader()
        return ()
    if isinstance(info, described.CustomType):
        info = described.AnyType() if info.cls is object else info
    return _TAKEN.get(type(info), ()) if _carried(info) else ()


def _literal(arm: object) -> Reader | None:
    arm = _bare(arm)
    return _one_of(typing.get_args(arm)) if typing.get_origin(arm) is typing.Literal else None


def _one_of(members: Iterable[object]) -> Reader:
    by_json = {_canonical(member): member for member in members}
    return lambda value: by_json[_canonical(value)]


def _row(readers: Sequence[Reader | None]) -> Reader:
    def read(value: object) -> object:
        pairs = zip(cast(Sequence[object], value), readers, strict=True)
        return tuple(one(item) if one else item for item, one in pairs)

    return read


def _many(kind: Callable[[object], object], one: Reader | None) -> Reader:
    return lambda value: kind([one(item) if one else item for item in cast(Sequence[object], value)])


def _mapping(one: Reader | None) -> Reader:
    def read(value: object) -> object:
        items = cast(Mapping[str, object], value).items()
        return {key: one(item) if one else item for key, item in items}

    return read


# ------------------------------------------------------------- signatures


def readers(function: Callable[..., object], parameters: Sequence[inspect.Parameter]) -> dict[str, Reader]:
    """What reads each parameter, and the result, back from JSON; nothing for what JSON carries by itself.

    The keys of a ``**`` that bears ``Unpack`` go by ``**key``.
    """
    hints = _resolved(function)
    wanted = {name: hints[name] for name in (*(p.name for p in parameters), RESULT) if name in hints}
    for one in parameters:
        if one.kind is one.VAR_KEYWORD and typing.get_origin(wanted.get(one.name)) is typing.Unpack:
            (keys,) = typing.get_args(wanted.pop(one.name))
            with contextlib.suppress(Exception):  # annotations are the user's code
                wanted |= {f"**{key}": hint for key, hint in typing.get_type_hints(keys).items()}
    found = {name: made for name, hint in wanted.items() if (made := _surely(hint)) is not None}
    if any(name.startswith("**") for name in found):
        found |= {p.name: _as_it_is for p in parameters if p.kind is p.VAR_KEYWORD}
    return found


class Record:
    """Reads a JSON object as one of the user's own classes, and nothing else: an object that it does not read is none.

    Of other annotations that cannot be said: who writes ``when: date = None`` sends no date.
    """

    __slots__ = ("_read",)

    def __init__(self, read: Reader) -> None:
        """*read* does the work."""
        self._read = read

    def __call__(self, value: object) -> object:
        """See ``Reader``."""
        return self._read(value)


def _is_record(hint: object) -> bool:
    """Whether *hint* is a class with fields, or several, or none: ``Order | None``."""
    hint = _bare(hint)
    union = typing.get_origin(hint) in {typing.Union, types.UnionType}
    kinds = [_bare(arm) for arm in (typing.get_args(hint) if union else (hint,)) if arm is not type(None)]
    return bool(kinds) and all(isinstance(kind, type) and _has_fields(kind) for kind in kinds)


def _has_fields(kind: type) -> bool:
    return is_model(kind) or dataclasses.is_dataclass(kind) or issubclass(kind, msgspec.Struct)


def _surely(hint: object) -> Reader | None:
    try:
        made = reader(hint)
        return Record(made) if made is not None and _is_record(hint) else made
    except Exception:  # noqa: BLE001 - annotations are the user's code; one that cannot be read promises nothing
        return None


def _resolved(annotated: Callable[..., object]) -> dict[str, object]:
    """The annotations; one that cannot be resolved at run time promises nothing, and takes no other along."""
    while isinstance(annotated, functools.partial):
        annotated = annotated.func
    if not inspect.isroutine(annotated) and not isinstance(annotated, type):  # an object that can be called
        annotated = type(annotated).__call__
    with contextlib.suppress(Exception):  # annotations are the user's code
        return typing.get_type_hints(annotated, include_extras=True)
    found: dict[str, object] = {}
    with contextlib.suppress(Exception):  # as above: from Python 3.14 on they are read only now
        names = getattr(inspect.unwrap(annotated), "__globals__", {})
        for name, hint in annotated.__annotations__.items():
            with contextlib.suppress(Exception):  # as above
                one = types.SimpleNamespace(__annotations__={name: hint})
                found |= typing.get_type_hints(one, names, include_extras=True)
    return found


def _as_it_is(value: object) -> object:
    return value
