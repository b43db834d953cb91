"""Numbers that options take."""

import argparse
import math
from collections.abc import Callable


def number_between(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    """A reader of numbers of a *kind* from *least* to *most*."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} must be a number from {least:g} to {most:,.0f}")
        return value

    return read
