"""What a claimer on PostgreSQL takes from an answer, where the answer itself is hard to bring about."""

from conveyor.store.postgres.sight import GRACE, LaneSight, Said

NOW = 10**15


def said(picked: int) -> Said:
    return Said(now=NOW, xmin=1, mark=None, took=1, picked=picked, looked=["mail"])


def test_a_claim_whose_rows_were_rewritten_under_it_passes_nothing_and_is_repeated() -> None:
    """It has fewer jobs than room, and yet there may be a whole backlog."""
    sight = LaneSight()
    sight.learn(sight.look({"mail": 10}), {"mail": 10}, [], said(picked=1))
    assert sight.missed
    assert {lane.at for lane in sight.lanes["mail"].values()} == {0}
    sight.learn(sight.look({"mail": 10}), {"mail": 10}, [], said(picked=0))
    assert not sight.missed
    assert {lane.at for lane in sight.lanes["mail"].values()} == {NOW - GRACE}
