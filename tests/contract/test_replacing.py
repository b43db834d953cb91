"""A job that is written over in the call that has made it has its turn behind the new ones of that call."""

from collections.abc import Callable

import pytest

from conveyor.store.contract import Store
from tests.support.jobs import Hire, enqueue, key, new_job
from tests.support.stores import KINDS


@pytest.mark.parametrize("url", [*KINDS, "redis"], indirect=True)
def test_what_is_written_over_comes_behind_what_is_new(
    url: str, opened: Callable[[], Store], store: Store, hire: Hire
) -> None:
    first, over, last = new_job(unique=key()), new_job(unique=key(on_conflict="replace")), new_job()
    assert enqueue(store, first, over, last) == {over.id: first.id}
    hand = hire()
    assert [hand.take_one().id, hand.take_one().id] == [last.id, first.id]
