"""A sound store that outlives closing, in this process: what the broken ones are made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from raftify.core.types import Snapshot
from raftify.peers import Membership
from raftify.storage import MemStorage, StoreIdentity, WriteBatch
from raftify.storage.log_state import LogState
from raftify.storage.mem_storage import _View


@dataclass
class Kept:
    """What lies in a directory."""

    view: _View = field(default_factory=lambda: _View(LogState(), [], 1))
    identity: StoreIdentity | None = None
    incarnations: dict[int, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


_kept: dict[Path, Kept] = {}


class KeptStorage(MemStorage):
    """MemStorage, but that what was written is there when the same directory is opened again."""

    #: The case that finds the fault of a broken one.
    caught_by = ""

    @classmethod
    def at(cls, directory: Path) -> Self:
        """Open what lies in `directory`."""
        storage = cls()
        storage.kept = _kept.setdefault(directory, Kept())
        storage.load()
        return storage

    kept: Kept

    def load(self) -> None:
        """Begin with what was kept."""
        kept = self.kept
        self._view = _View(kept.view.state, list(kept.view.entries), kept.view.first)
        self._identity, self._files = kept.identity, kept.files
        self._incarnations = dict(kept.incarnations)

    def keep(self) -> None:
        """Keep what was written."""
        assert self._view is not None
        self.kept.view = _View(self._view.state, list(self._view.entries), self._view.first)
        self.kept.identity = self._identity
        self.kept.incarnations = dict(self._incarnations)

    def initialize(self, identity: StoreIdentity, membership: Membership) -> None:
        super().initialize(identity, membership)
        self.keep()

    def write(self, batch: WriteBatch) -> None:
        super().write(batch)
        self.keep()

    def save_snapshot(self, snapshot: Snapshot) -> None:
        super().save_snapshot(snapshot)
        self.keep()

    def compact(self, first_index: int) -> None:
        super().compact(first_index)
        self.keep()

    def remember_incarnation(self, node_id: int, incarnation: str) -> None:
        super().remember_incarnation(node_id, incarnation)
        self.keep()

    def change(self, **changes: object) -> None:
        """Change the state behind the back of all rules, for stores that break them."""
        assert self._view is not None
        state = replace(self._view.state, **changes)  # type: ignore[arg-type]
        self._view = replace(self._view, state=state)
