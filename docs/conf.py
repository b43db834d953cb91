"""How Sphinx builds these pages: `make docs`. Neither the build nor a page that it makes fetches anything."""

import re
import sys
import typing
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tools")]  # of this clone, whatever is installed

typing.TYPE_CHECKING = True  # what is imported for type checkers only stands in signatures too
from conveyor import __version__

typing.TYPE_CHECKING = False
import exported
import statechart

project = "Conveyor"
author = "the authors of Conveyor"
project_copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
root_doc = "index"
highlight_language = "none"  # a block without a language is not Python
nitpicky = True
nitpick_ignore_regex = [  # a public signature may name what is documented, or one of ours that is listed here
    ("py:.*", r"(?!conveyor\.).*"),  # others' names: to resolve them would take the network
    ("py:.*", r"conveyor\.[\w.]+\.[FPRT](_co)?(\.args|\.kwargs)?"),  # type variables
    ("py:.*", r"conveyor\.(declare\.(Context)?Decorator|store\.contract\.Store|task\.(Definition|Sender))"),  # our own
    ("py:.*", r"conveyor\.(worker\.(heartbeat\.Tether|cell\.process\.Cell)|core\.model\.(Held|Outcome))"),  # as above
    ("py:.*", r"conveyor\.core\.schedules\.Spec"),  # as above
    ("py:.*", r"conveyor\.core\.errors\.AttemptTimedOut"),  # which is raised nowhere
]

# ---------------------------------------------------------------- Markdown

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4  # the anchors that a code host makes, so that links work in both places
myst_fence_as_directive = ["mermaid"]  # which a code host draws by itself, and the directive below here

# ---------------------------------------------------------------- the reference

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "separated"  # most classes are made by the app: only what users make shows its __init__
autodoc_default_options = {"members": True, "undoc-members": True, "exclude-members": "__init__, __new__"}
add_module_names = False
python_maximum_signature_line_length = 90

# ---------------------------------------------------------------- HTML

html_theme = "furo"
html_title = "Conveyor"
html_copy_source = False
html_static_path: list[str] = []


class Exported(SphinxDirective):
    """Documents what no page of the reference names: a group of ``tools/exported.py``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Leave the work to autodoc."""
        pages = (Path(self.env.srcdir) / "reference").glob("*.md")
        names = exported.GROUPS[self.arguments[0]](page.read_text("utf-8") for page in pages)
        return self.parse_text_to_nodes(exported.directives(names))


class Chart(SphinxDirective):
    """Draws a ``mermaid`` block as SVG: of Mermaid's language, a state diagram's arrows are understood, and no more."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Put the drawing where the block is."""
        try:
            drawn = statechart.svg(statechart.read("\n".join(self.content)))
        except ValueError as error:
            raise self.error(str(error)) from error
        return [nodes.container("", nodes.raw("", drawn, format="html"), classes=["chart"])]


def named(*arguments: object) -> tuple[object, object]:
    """Type variables in signatures by their names: ``P`` for ``~P``."""
    *_, signature, returned = arguments
    return re.sub(r"~([A-Z])\b", r"\1", signature) if isinstance(signature, str) else signature, returned


def setup(app: Sphinx) -> None:
    """Add the two directives."""
    app.connect("autodoc-process-signature", named)
    app.add_directive("exported", Exported)
    app.add_directive("mermaid", Chart)
