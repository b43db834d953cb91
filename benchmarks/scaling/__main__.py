"""The commands: measure, model, report. See ``benchmarks/README.md``."""

import argparse
import json
from pathlib import Path

from benchmarks.scaling.grid import modelled_all
from benchmarks.scaling.report import chart, renewed, tables
from benchmarks.scaling.run import ROUNDS, measured

HERE = Path(__file__).parent
FIGURES, MODELLED = HERE / "figures.json", HERE / "modelled.json"
PAGE = HERE.parents[1] / "docs" / "scaling.md"


def main() -> None:
    """Measure, model, or put the tables into the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=main.__doc__)
    parser.add_argument("what", choices=("measure", "model", "report"))
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each measure (%(default)s)")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="what was measured (%(default)s)")
    parser.add_argument("--modelled", type=Path, default=MODELLED, help="what was modelled (%(default)s)")
    parser.add_argument("--page", type=Path, default=PAGE, help="whose tables a report renews (%(default)s)")
    given = parser.parse_args()
    if given.what == "measure":
        _write(given.figures, measured(given.rounds))
        return
    figures = json.loads(given.figures.read_text("utf-8"))
    if given.what == "model":
        _write(given.modelled, modelled_all(figures))
        return
    rows = json.loads(given.modelled.read_text("utf-8"))
    given.page.write_text(renewed(given.page.read_text("utf-8"), tables(figures, rows)), "utf-8")
    given.page.with_suffix(".svg").write_text(chart(figures, rows), "utf-8")


def _write(path: Path, found: object) -> None:
    path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
