"""Locks: one holder for each name, told apart by tokens."""

import os
from typing import Final

import pytest

from conveyor.store.contract import Store
from conveyor.store.locks import NOBODY, Held
from conveyor.testing.contract.hands import Suite, in_a_loop
from conveyor.testing.hand import PATIENCE, SECOND, until

TTL: Final = 60 * SECOND
NAME: Final = "nightly"
ME: Final = b"\1" * 16
OTHER: Final = b"\2" * 16


def take(store: Store, owner: bytes = ME, *, name: str = NAME, ttl: int = TTL, over: int = NOBODY) -> int | Held | None:
    """Try to take it; as of ``Locks.take``."""
    return store.run(store.locks.take(name, owner, f"holder {owner[0]}", ttl, over))


def taken(store: Store, owner: bytes = ME, *, name: str = NAME, ttl: int = TTL) -> int:
    """Take it, as soon as it is free; the token."""
    found: list[int] = []

    def tried() -> bool:
        token = take(store, owner, name=name, ttl=ttl)
        found.extend([token] if isinstance(token, int) else [])
        return bool(found)

    until(tried)
    return found[0]


class Locking(Suite):
    """``Locks``."""

    def test_a_lock_has_one_holder_who_is_named(self, store: Store, second: Store) -> None:
        """Whoever comes second is told who has it, and changes nothing."""
        token = taken(store)
        for other in (store, second):
            held = take(other, OTHER)
            assert isinstance(held, Held)
            assert (held.token, held.holder, held.vacant) == (token, "holder 1", False)
            assert 0 <= held.now - held.since < PATIENCE * SECOND
        assert store.run(store.locks.renew(NAME, token, TTL, tied=False))

    def test_of_many_that_come_at_once_one_has_it(self, store: Store) -> None:
        """Whoever that is."""
        locks = store.locks
        answers = in_a_loop(store, *(locks.take(NAME, os.urandom(16), str(n), TTL) for n in range(20)))
        assert sum(isinstance(answer, int) for answer in answers) == 1

    def test_the_token_grows_each_time(self, store: Store, second: Store) -> None:
        """After a release, and after the time of one who never came back; also above those of a row that is lost."""
        tokens: list[int] = []
        for _ in range(3):
            tokens.append(taken(store))
            assert store.run(store.locks.release(NAME, tokens[-1]))
        last = take(second, OTHER, ttl=1)
        assert isinstance(last, int)
        tokens += [last, taken(store), taken(store, name="weekly")]
        assert tokens == sorted(set(tokens))

    def test_nobody_has_a_lock_that_was_given_back(self, store: Store, second: Store) -> None:
        """By its token; any other changes nothing."""
        token = taken(store)
        assert not second.run(second.locks.release(NAME, token + 1))
        assert not second.run(second.locks.release("another", token))
        assert isinstance(second.run(second.locks.look(NAME)), Held)
        assert store.run(store.locks.release(NAME, token))
        assert second.run(second.locks.look(NAME)) is None
        assert not store.run(store.locks.release(NAME, token))
        assert not store.run(store.locks.renew(NAME, token, TTL, tied=False))

    def test_what_has_run_out_and_was_taken_is_neither_renewed_nor_given_back(
        self, store: Store, second: Store
    ) -> None:
        """Its former holder is told so."""
        old = taken(store, ttl=1)
        new = taken(second, OTHER)
        assert not store.run(store.locks.renew(NAME, old, TTL, tied=False))
        assert not store.run(store.locks.tie(NAME, old))
        assert not store.run(store.locks.release(NAME, old))
        held = store.run(store.locks.look(NAME))
        assert held is not None
        assert held.token == new

    def test_what_has_run_out_and_nobody_took_is_renewed(self, store: Store, second: Store) -> None:
        """Nobody else has had it meanwhile."""
        token = taken(store, ttl=1)
        until(lambda: second.run(second.locks.look(NAME)) is None)
        assert store.run(store.locks.renew(NAME, token, TTL, tied=False))
        assert isinstance(take(second, OTHER), Held)

    def test_who_never_heard_the_answer_gives_back_what_may_be_its_own(self, store: Store, second: Store) -> None:
        """And nobody else's."""
        taken(store)
        second.run(second.locks.forsake(NAME, OTHER))
        assert isinstance(take(second, OTHER), Held)
        store.run(store.locks.forsake(NAME, ME))
        assert isinstance(take(second, OTHER), int)

    def test_a_lock_whose_tie_is_gone_may_be_taken_over(self, store: Store, second: Store) -> None:
        """By whoever names the token that was seen so; where a store has ties."""
        token, ties = taken(store), store.locks.ties()
        try:
            tied = ties.tie(NAME, 60.0)
            assert ties.whole(NAME) == tied
            assert not ties.whole("another")
            if tied:
                assert store.run(store.locks.tie(NAME, token))
            assert isinstance(take(second, OTHER, over=token), Held)
        finally:
            ties.close()
        assert not ties.whole(NAME)
        held = take(second, OTHER)
        assert isinstance(held, Held)
        assert held.vacant == tied
        assert isinstance(take(second, OTHER, over=token + 1), Held)
        if tied:
            taken_over = take(second, OTHER, over=token)
            assert isinstance(taken_over, int)
            assert taken_over > token

    def test_one_that_was_renewed_without_its_tie_is_not_taken_over(self, store: Store, second: Store) -> None:
        """Its holder lives, and has lost no more than that."""
        token, ties = taken(store), store.locks.ties()
        if ties.tie(NAME, 60.0):
            store.run(store.locks.tie(NAME, token))
        ties.untie(NAME)
        assert store.run(store.locks.renew(NAME, token, TTL, tied=False))
        held = take(second, OTHER, over=token)
        assert isinstance(held, Held)
        assert not held.vacant
        ties.close()

    @pytest.mark.parametrize("name", ["tâche.Ω.😀:a'b\"c%s%(x)s{y}", "A", "a b"])
    def test_any_name_is_a_lock_of_its_own(self, store: Store, name: str) -> None:
        """Tied, too."""
        ties = store.locks.ties()
        for other in (name, "a"):
            token = taken(store, name=other)
            if ties.tie(other, 60.0):
                assert store.run(store.locks.tie(other, token))
            assert isinstance(take(store, OTHER, name=other), Held)
        ties.close()
