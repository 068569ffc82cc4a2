"""Stores that are broken in what they remember: when closed, when opened again, when killed."""

from __future__ import annotations

import pickle
import time
from dataclasses import replace
from pathlib import Path
from typing import Self

from raftify.core.types import HardState
from raftify.storage import WriteBatch
from raftify.storage.log_state import plan_write
from tests.testing.broken.kept import Kept, KeptStorage


class LosesASyncedWrite(KeptStorage):
    """What was written last is kept only when the next write comes."""

    caught_by = "test_everything_outlives_reopening"

    def write(self, batch: WriteBatch) -> None:
        self.keep()
        super(KeptStorage, self).write(batch)


class LosesTheLastEntry(KeptStorage):
    """Opened again, its log ends one entry earlier."""

    caught_by = "test_everything_outlives_reopening"

    def load(self) -> None:
        super().load()
        view = self._current()
        if view.entries:
            self._view = replace(view, entries=view.entries[:-1])
            self.change(last_index=view.state.last_index - 1)


class LosesWhatNeedNoSync(KeptStorage):
    """What may be durable later is dropped for ever when it is closed in order."""

    caught_by = "test_everything_outlives_reopening"

    def write(self, batch: WriteBatch) -> None:
        super(KeptStorage, self).write(batch)
        if batch.must_sync:
            self.keep()


class LosesTheVoteWhenOpenedAgain(KeptStorage):
    """Opened again, it may vote a second time in the same term."""

    caught_by = "test_everything_outlives_reopening"

    def load(self) -> None:
        super().load()
        state = self._current().state.hard_state
        self.change(hard_state=HardState(state.term, 0, state.commit))


class ForgetsIncarnations(KeptStorage):
    """Opened again, it does not know a wiped disk from the one it had met."""

    caught_by = "test_everything_outlives_reopening"

    def load(self) -> None:
        super().load()
        self._incarnations = {}


class ForgetsItsMembership(KeptStorage):
    """Opened again, it knows the members of its first day only."""

    caught_by = "test_everything_outlives_reopening"

    def load(self) -> None:
        super().load()
        membership = self._current().state.membership
        self.change(membership=replace(membership, max_id=0))


class LosesSnapshotFiles(KeptStorage):
    """Opened again, its snapshot is described, but its file is gone."""

    caught_by = "test_everything_outlives_reopening"

    def load(self) -> None:
        super().load()
        self._files.clear()


class ForgetsWhoseItIs(KeptStorage):
    """Opened again, it takes any owner."""

    caught_by = "test_a_store_stays_its_owners"

    def load(self) -> None:
        super().load()
        self._identity = None


class NeverForgetsAnIncarnation(KeptStorage):
    """A node that was removed and came back anew would be refused for ever."""

    caught_by = "test_incarnations_are_remembered_until_forgotten"

    def remember_incarnation(self, node_id: int, incarnation: str) -> None:
        if incarnation:
            super().remember_incarnation(node_id, incarnation)


class AnswersWhenClosed(KeptStorage):
    """Whoever still holds a closed store gets answers from it."""

    caught_by = "test_a_closed_store_refuses_everything"

    def close(self) -> None:
        """Go on."""


class FileStorage(KeptStorage):
    """A sound one that outlives its process: everything is in one file, replaced by each write."""

    file: Path

    @classmethod
    def at(cls, directory: Path) -> Self:
        file = directory.with_suffix(".pickle")
        storage = cls()
        storage.file = file
        storage.kept = pickle.loads(file.read_bytes()) if file.exists() else Kept()
        storage.load()
        return storage

    def keep(self) -> None:
        super().keep()
        self.save()

    def save(self) -> None:
        """Put everything in place at once."""
        self.kept.files = self._files
        new = self.file.with_suffix(".new")
        new.write_bytes(pickle.dumps(self.kept))
        new.replace(self.file)


class KeepsWhenClosedOnly(FileStorage):
    """Everything is written when it is closed in order, and nothing before."""

    caught_by = "test_a_writer_killed_between_two_writes_has_kept_them_all"

    def keep(self) -> None:
        """Do it later."""

    def close(self) -> None:
        if self._view is not None:
            super().keep()
        super().close()


class WritesByHalves(FileStorage):
    """Entries first, the rest a moment later: who dies in between has half a batch."""

    caught_by = "test_a_writer_killed_at_any_moment_has_kept_what_it_reported"

    def write(self, batch: WriteBatch) -> None:
        view = self._current()
        plan_write(view.state, batch, view.term)
        if batch.entries and batch.snapshot is None:
            super().write(WriteBatch(entries=batch.entries))
            time.sleep(0.02)
            batch = replace(batch, entries=())
        super().write(batch)


IN_THIS_PROCESS = [
    LosesASyncedWrite, LosesTheLastEntry, LosesWhatNeedNoSync, LosesTheVoteWhenOpenedAgain,
    ForgetsIncarnations, ForgetsItsMembership, LosesSnapshotFiles, ForgetsWhoseItIs,
    NeverForgetsAnIncarnation, AnswersWhenClosed,
]  # fmt: skip
