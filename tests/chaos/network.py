"""The network between machines, as the faults see it: directions that are cut, links that are slow.

Two of them: `NamespaceNetwork`, where every machine has a network stack of its own and what is
cut vanishes without a word, and `ProxyNetwork` for systems that allow no such thing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import permutations


class Network(ABC):
    """Every machine has a name, and an address that holds for its whole life."""

    #: What the report calls it.
    kind: str

    @abstractmethod
    async def open(self) -> None:
        """Make what all machines share."""

    @abstractmethod
    async def close(self) -> None:
        """Remove everything made; harmless after a failure."""

    @abstractmethod
    async def attach(self, name: str) -> str:
        """Connect a new machine; return its `host:port`."""

    @abstractmethod
    async def detach(self, name: str) -> None:
        """Remove a machine for ever."""

    @abstractmethod
    def prefix(self, name: str) -> list[str]:
        """Return the command that a program runs under to be on the machine."""

    @abstractmethod
    def routes(self, name: str) -> dict[str, str]:
        """Return where the machine has to call to reach each address, if not at the address."""

    @abstractmethod
    async def cut(self, source: str, target: str) -> None:
        """Let nothing that `source` sends reach `target` from here on."""

    @abstractmethod
    async def mend(self, source: str, target: str) -> None:
        """Undo `cut`."""

    @abstractmethod
    async def slow(self, name: str, seconds: float) -> None:
        """Make everything that a machine sends to the others late; 0: no more."""

    async def cut_both(self, one: str, other: str) -> None:
        await self.cut(one, other)
        await self.cut(other, one)

    async def mend_all(self, names: Iterable[str]) -> None:
        """Let everybody reach everybody at full speed."""
        every = list(names)
        for source, target in permutations(every, 2):
            await self.mend(source, target)
        for name in every:
            await self.slow(name, 0)
