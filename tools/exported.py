"""Which of the package's names the reference must still document, for `docs/conf.py`.

A page of the reference names what it is about, as ``autoclass:: conveyor.Job``. What no page names yet is documented
all the same: errors with the other errors, parts of the app with the app, the rest on the reference's first page.
"""

import inspect
import pydoc
import re
from collections.abc import Callable, Iterable
from functools import cached_property

import conveyor

NAMED = re.compile(r"^\.\. (?:auto|py:)\w+:: conveyor\.(\w+)", re.MULTILINE)


def left(pages: Iterable[str]) -> list[str]:
    """The exported names that none of *pages* documents by name, in their order."""
    named = {name for page in pages for name in NAMED.findall(page)}
    return [f"conveyor.{name}" for name in conveyor.__all__ if name not in named]


def errors(pages: Iterable[str]) -> list[str]:
    """Those of them that are errors, the base first, then in the order of their definition."""
    found = [name for name in left(pages) if is_error(pydoc.locate(name))]
    return sorted(found, key=lambda name: (name != "conveyor.ConveyorError", line(name)))


def rest(pages: Iterable[str]) -> list[str]:
    """Those of them that are not."""
    return [name for name in left(pages) if not is_error(pydoc.locate(name))]


def parts(_pages: Iterable[str]) -> list[str]:
    """The classes of an app's parts, such as ``app.jobs``, wherever they are defined."""
    app = conveyor.Conveyor("sqlite:///:memory:")
    later = [name for name, value in inspect.getmembers(type(app)) if isinstance(value, cached_property)]
    made = [*(name for name in vars(app) if not name.startswith("_")), *later]
    kinds = [type(getattr(app, name)) for name in made]
    return [f"{kind.__module__}.{kind.__qualname__}" for kind in kinds if kind.__module__.startswith("conveyor.")]


GROUPS: dict[str, Callable[[Iterable[str]], list[str]]] = {"errors": errors, "rest": rest, "parts": parts}


def is_error(value: object) -> bool:
    """Whether *value* is a class of errors or warnings: what a task raises to speak to its worker is neither."""
    return isinstance(value, type) and issubclass(value, conveyor.ConveyorError | Warning)


def line(name: str) -> int:
    """Where the class of that name begins in its file."""
    found = pydoc.locate(name)
    return inspect.getsourcelines(found)[1] if isinstance(found, type) else 0


def directives(names: Iterable[str]) -> str:
    """What documents *names*: autodoc speaks reStructuredText, and the pages are Markdown."""
    lines = [_directive(name, pydoc.locate(name)) for name in names]
    return "\n".join(["```{eval-rst}", *lines, "```"]) if lines else ""


def _directive(name: str, value: object) -> str:
    bases = "   :show-inheritance:\n" if is_error(value) else ""  # what else would catch it
    return f".. {kind(value)}:: {name}\n{bases}"


def kind(value: object) -> str:
    """The directive of autodoc for *value*."""
    if is_error(value):
        return "autoexception"
    if isinstance(value, type):
        return "autoclass"
    return "autofunction" if inspect.isroutine(value) else "autodata"
