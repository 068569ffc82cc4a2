"""A log on disk as a reader has it open, beside a node that may be writing it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, TypeVar

from raftify.errors import StorageDamaged, StorageError
from raftify.storage.medium import Environment, Transaction

T = TypeVar("T")

#: How often a look begins anew because the running node wrote meanwhile.
_ATTEMPTS: Final = 100
#: How often damage must be found to be believed.
_LOOKS: Final = 3


class Meanwhile(Exception):
    """The node has written between two looks that had to see the same."""


class LogView(ABC):
    """One kind of log, opened for reading. Whoever opened it closes it."""

    #: Whether a node may run meanwhile, see `LogReader.is_noted`.
    is_noted: bool

    @property
    @abstractmethod
    def environment(self) -> Environment:
        """Return what the log is read from; another one after `refresh`."""

    @abstractmethod
    def refresh(self) -> None:
        """See what the node has written since."""

    @abstractmethod
    def check_pages(self) -> None:
        """Check what lies below the records, all of it; raise StorageDamaged."""

    @abstractmethod
    def close(self) -> None:
        """Release the files. Harmless the second time."""

    def read(self, look: Callable[[Environment, Transaction], T]) -> T:
        """Return what `look` finds in one transaction."""
        environment = self.environment
        with environment.reading() as transaction:
            return look(environment, transaction)


def patiently(look: Callable[[], T]) -> T:
    """Return what `look` returns once it finds no damage, or raise what it finds again and again.

    The node may write while the files are being looked at, and what was read half before and half
    after looks like damage once.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            return look()
        except Meanwhile as error:
            if attempt >= _ATTEMPTS:
                raise StorageError("the log changes too fast to be read; try later") from error
        except StorageDamaged:
            if attempt >= _LOOKS:
                raise
        time.sleep(0.001)
