"""Functions whose annotations are text until somebody asks: what a type checker sees, a worker may not."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shop.models import Order  # type: ignore[import-not-found]  # a name that no program has at run time

    from conveyor import Context


def remind(when: datetime) -> datetime:
    return when


def order(order: Order, count: int) -> Order:
    return order * count


def ship(when: datetime, order: Order) -> tuple[datetime, Order]:
    return when, order


def call(ctx: Context, when: datetime) -> datetime:
    return when


def greet(name: "not a type at all") -> str:  # type: ignore[syntax]  # noqa: F722 - what the test is about
    return name
