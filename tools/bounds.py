"""Holds the code to those bounds of CONTRIBUTING.md that no linter knows.

Usage: python tools/bounds.py [ROOT]. Prints each violation as `path:line message`; exits 1 if there is any.
"""

import ast
import gc
import io
import math
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

PACKAGE = "src/conveyor"
FILE_LINES = 400
PLAN_FILE_LINES = 450  # under store/: an SQL plan belongs in one piece
FUNCTION_LINES = 40
FUNCTION_LINES_P90 = 20
CLASS_LINES = 250
README_LINES = 120
README_PROGRAM_BEFORE = 30

ANY_ALLOWED = ("core/codec.py", "drivers/")  # both carry values whose type only the user knows
LAZY_ALLOWED = ("drivers/", "app.py", "store/openers.py", "cli/", "cli.py")
LAZY_STDLIB = {"http", "multiprocessing", "sqlite3"}  # slow to import, and few commands need them
SKIPS = {"skip", "skipif", "xfail", "importorskip", "skipIf", "skipUnless", "expectedFailure"}

TYPE_IGNORE = re.compile(r"(?:type|pyright):\s*ignore(?P<codes>\[[\w\s,-]+\])?")
NOQA = re.compile(r"(?:(?:ruff|flake8):\s*)?\bnoqa\b(?P<codes>:\s*[A-Z]+\d+(?:[,\s]+[A-Z]+\d+\b)*)?", re.IGNORECASE)
REASON = re.compile(r"[^\W\d_]{2,}")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Problem(NamedTuple):
    """One violation."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.message}"


@dataclass(frozen=True)
class Source:
    """One Python file: *path* is from the repository's root, *inner* from the package's (or tests')."""

    path: str
    inner: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed file."""
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the tree, walked once for all rules."""
        return list(ast.walk(self.tree))

    @cached_property
    def functions(self) -> list[Function]:
        """Every function, methods and inner functions included."""
        return [node for node in self.nodes if isinstance(node, Function)]

    @cached_property
    def comments(self) -> dict[int, str]:
        """Every comment, by line."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}

    def problem(self, node: ast.stmt | ast.expr, message: str) -> Problem:
        """Return a violation at *node*."""
        return Problem(self.path, node.lineno, message)

    def within(self, places: Iterable[str]) -> bool:
        """Tell whether this file is one of *places*, or below one."""
        return any(self.inner == place or (place[-1] == "/" and self.inner.startswith(place)) for place in places)


# ---------------------------------------------------------------- sizes


def file_size(path: str, inner: str, text: str) -> Iterator[Problem]:
    """Yield a problem if a file, Python or SQL, is too long."""
    bound = PLAN_FILE_LINES if inner.startswith("store/") else FILE_LINES
    lines = len(text.splitlines())
    if lines > bound:
        yield Problem(path, bound + 1, f"file has {lines} lines, more than {bound}: split it by duty")


def function_size(source: Source) -> Iterator[Problem]:
    """Yield the functions that are too long."""
    for node in source.functions:
        if (lines := length(node)) > FUNCTION_LINES:
            yield source.problem(node, f"{node.name}() has {lines} lines, more than {FUNCTION_LINES}")


def class_size(source: Source) -> Iterator[Problem]:
    """Yield the classes that are too long."""
    for node in source.nodes:
        if isinstance(node, ast.ClassDef) and (lines := span(node)) > CLASS_LINES:
            yield source.problem(node, f"class {node.name} has {lines} lines, more than {CLASS_LINES}")


def typical_size(sources: Iterable[Source]) -> Iterator[Problem]:
    """Yield a problem if too many functions, over the whole package, are on the long side."""
    sizes = sorted((length(node), source.path, node.lineno) for source in sources for node in source.functions)
    if sizes:
        lines, path, line = sizes[math.ceil(0.9 * len(sizes)) - 1]
        if lines > FUNCTION_LINES_P90:
            message = f"90th percentile of function lengths is {lines}, more than {FUNCTION_LINES_P90}: this one"
            yield Problem(path, line, message)


def length(node: Function) -> int:
    """Return the lines of a function, its docstring and decorators apart."""
    docstring = span(node.body[0]) if ast.get_docstring(node, clean=False) is not None else 0
    return span(node) - docstring


def span(node: ast.stmt) -> int:
    """Return the lines from the first to the last of *node*."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


# ------------------------------------------------ what to avoid


def lazy_imports(source: Source, installed_always: frozenset[str]) -> Iterator[Problem]:
    """Yield the imports in functions, where not allowed or of what could as well be imported on top."""
    inner = {id(node): node for function in source.functions for node in ast.walk(function)}
    for node in inner.values():
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if not source.within(LAZY_ALLOWED):
            yield source.problem(node, f"import inside a function; allowed only in {', '.join(LAZY_ALLOWED)}")
        elif cheap := sorted(roots_of(node) & installed_always):
            yield source.problem(node, f"{cheap[0]} is always there and quick to import: import it on top")


def roots_of(node: ast.Import | ast.ImportFrom) -> set[str]:
    """Return the top packages that *node* imports; none for ours, which may drag an optional one in."""
    if isinstance(node, ast.ImportFrom):
        return set() if node.level else {(node.module or "").partition(".")[0]}
    return {alias.name.partition(".")[0] for alias in node.names}


def always_installed(pyproject: str) -> frozenset[str]:
    """Return the packages that are there without any extra: quick standard ones and our core dependencies."""
    requirements = tomllib.loads(pyproject).get("project", {}).get("dependencies", [])
    names = {re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in requirements}
    return (frozenset(sys.stdlib_module_names) - LAZY_STDLIB) | {name.replace("-", "_") for name in names}


def any_types(source: Source) -> Iterator[Problem]:
    """Yield the references to typing.Any outside the places that may have it."""
    if not source.within(ANY_ALLOWED):
        for node, name in references(source.nodes):
            if name in {"typing.Any", "typing_extensions.Any"}:
                yield source.problem(
                    node, "Any outside core/codec.py and drivers/: say object, a Protocol, a type variable"
                )


def pragmas(source: Source) -> Iterator[Problem]:
    """Yield each `type: ignore` and `noqa` without a code or without a reason.

    The reason follows on the same line, or stands as a comment alone on the line above.
    """
    if not (TYPE_IGNORE.search(source.text) or NOQA.search(source.text)):
        return  # to find the comments is slow, and most files have none of these
    lines = source.text.splitlines()
    for line, comment in source.comments.items():
        found = [*TYPE_IGNORE.finditer(comment), *NOQA.finditer(comment)]
        above = source.comments.get(line - 1, "") if lines[line - 2 : line - 1] else ""
        alone = bool(above) and lines[line - 2].strip() == above
        reasons = without_pragmas(comment) + (without_pragmas(above) if alone else "")
        for match in found:
            if match["codes"] is None:
                yield Problem(source.path, line, f"{match[0]} without a code")
            elif not REASON.search(reasons):
                yield Problem(source.path, line, f"{match[0]} without a reason")


def without_pragmas(comment: str) -> str:
    """Return what *comment* says to people."""
    return NOQA.sub("", TYPE_IGNORE.sub("", comment))


# --------------------------------------------------------- documentation


def documented(source: Source) -> Iterator[Problem]:
    """Yield the public classes, functions and methods without a docstring."""
    if not any(is_private(part.removesuffix(".py")) for part in source.inner.split("/")):
        yield from documented_in(source, source.tree.body)


def documented_in(source: Source, body: list[ast.stmt]) -> Iterator[Problem]:
    """Yield the undocumented public names of *body*, and of the classes in it."""
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from documented_in(source, node.body + node.orelse)
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None and not exempt(node):
            yield source.problem(node, f"{node.name} is public and has no docstring")
        if isinstance(node, ast.ClassDef):
            yield from documented_in(source, node.body)


def exempt(node: Function | ast.ClassDef) -> bool:
    """Tell whether *node* is documented elsewhere: an overload, an override, a property's setter."""
    words = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
    return bool(words & {"overload", "override", "setter", "deleter"})


def is_private(name: str) -> bool:
    """Tell whether *name* has a leading underscore and is no `__init__` or `__main__`."""
    return name.startswith("_") and not name.endswith("__")


def readme(path: Path) -> Iterator[Problem]:
    """Yield what is wrong with the README."""
    if not path.exists():
        yield Problem(path.name, 1, "there is no README")
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    if len(lines) > README_LINES:
        yield Problem(path.name, README_LINES + 1, f"README has {len(lines)} lines, more than {README_LINES}")
    if not any(line.startswith("```python") for line in lines[: README_PROGRAM_BEFORE - 1]):
        yield Problem(path.name, 1, f"no ```python block starts before line {README_PROGRAM_BEFORE}")


# ---------------------------------------------------------------- tests


def honest_tests(source: Source) -> Iterator[Problem]:
    """Yield the sleeps (outside tests/faults) and the skips of a test file."""
    for node, name in references(source.nodes):
        if name == "time.sleep" and not source.within(["faults/"]):
            yield source.problem(node, "time.sleep in a test: wait for the event")
        package, _, inside = name.partition(".")
        if package in {"pytest", "unittest"} and inside.rpartition(".")[2] in SKIPS:
            yield source.problem(node, f"{name}: a test runs or fails, it is never skipped")


# ---------------------------------------------------------------- names


def references(nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Yield each use of an imported name, and each import by name, with what it stands for."""
    origins = imported(nodes)
    for node in nodes:
        if isinstance(node, ast.Attribute | ast.Name):
            head, *rest = dotted(node)
            if head in origins:
                yield node, ".".join([origins[head], *rest])
        elif isinstance(node, ast.ImportFrom):
            # The import alone counts: its use may hide in a quoted annotation.
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def dotted(node: ast.expr) -> list[str]:
    """Return the parts of a dotted name; what is no name before the first dot is the empty one."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id if isinstance(node, ast.Name) else "", *reversed(parts)]


def imported(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """Return what each imported name stands for: `from time import sleep as nap` gives nap: time.sleep."""
    found: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                found[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


# ----------------------------------------------------------------- all


def check(root: Path) -> Iterator[Problem]:
    """Yield every violation below *root*."""
    pyproject = root / "pyproject.toml"
    always = always_installed(pyproject.read_text(encoding="utf-8") if pyproject.exists() else "")
    package = list(read(root, PACKAGE, "*.py"))
    tests = list(read(root, "tests", "*.py"))
    benchmarks = list(read(root, "benchmarks", "*.py"))
    for source in [*package, *read(root, PACKAGE, "*.sql"), *benchmarks]:
        yield from file_size(source.path, source.inner, source.text)
    for source in [*package, *benchmarks]:
        for rule in (function_size, class_size, any_types, documented):
            yield from rule(source)
    for source in package:
        yield from lazy_imports(source, always)
    for source in [*package, *tests, *benchmarks, *read(root, "tools", "*.py")]:
        yield from pragmas(source)
    for source in tests:
        yield from honest_tests(source)
    yield from typical_size(package)
    yield from readme(root / "README.md")


def read(root: Path, folder: str, pattern: str) -> Iterator[Source]:
    """Yield the files below *folder* of *root* that match *pattern*."""
    base = root / folder
    for path in sorted(base.rglob(pattern)):
        yield Source(path.relative_to(root).as_posix(), path.relative_to(base).as_posix(), path.read_text("utf-8"))


def main(arguments: list[str]) -> int:
    """Print every violation; return the exit code."""
    root = Path(arguments[0]) if arguments else Path(__file__).parents[1]
    gc.disable()  # trees stay to the end, and to look for garbage among them takes longer than to make them
    problems = sorted(check(root))
    for problem in problems:
        print(problem)
    if not problems:
        print(f"bounds: all kept in {PACKAGE}")
    return min(len(problems), 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
