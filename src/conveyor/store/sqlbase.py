"""What every operation over SQL starts from: a dialect's own folder of statements, and how it takes values."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, cast

from conveyor.plan import Answer, Statement
from conveyor.store.reading import Dialect
from conveyor.store.sqlfiles import sql


class SqlBase(ABC):
    """One dialect."""

    folder: ClassVar[str]
    reading: ClassVar[Dialect]

    @abstractmethod
    def id_param(self, id_: bytes) -> object:
        """An id as the dialect's parameter."""

    @abstractmethod
    def plain_id(self, id_: bytes) -> object:
        """An id as a parameter that the user's libraries carry."""

    @abstractmethod
    def id_list(self, ids: Sequence[bytes]) -> dict[str, object]:
        """Parameters for the dialect's condition "one of these ids"."""

    def params(self, **params: object) -> dict[str, object]:
        """*params*, with what every statement of the dialect gets."""
        return params

    def statement(self, name: str, **params: object) -> Statement:
        """The statement of the file *name*, with its values."""
        return Statement(sql(self.folder, name), self.params(**params))

    def steady(self, name: str, **params: object) -> Statement:
        """The same for one that is carried out in the same way whatever is in the tables."""
        return Statement(sql(self.folder, name), self.params(**params), steady=True)


def number(answer: Answer) -> int:
    """The one number of an answer."""
    return cast(int, answer.rows[0][0])
