"""A store of records and files: the whole logic of one on disk, over any `Environment`.

LMDB, RocksDB and the simulator's disk are environments; what they hold is the same
(`lmdb_schema`), and so are the rules that it is written by (`log_state`).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self, TypeVar

from raftify.config import Config
from raftify.core.types import NO_LIMIT, Entry, RaftState, Snapshot
from raftify.errors import ConfigError, StorageError
from raftify.peers import Membership
from raftify.records import SnapshotSink
from raftify.storage import lmdb_records as records
from raftify.storage import lmdb_runs
from raftify.storage import lmdb_schema as schema
from raftify.storage.base import StableStorage, StoreIdentity, WriteBatch
from raftify.storage.entry_cache import EntryCache
from raftify.storage.lmdb_directory import LogDirectory
from raftify.storage.log_state import (
    LogChange,
    LogState,
    check_new,
    decode_descriptor,
    initial_log,
    plan_compaction,
    plan_saved_snapshot,
    plan_write,
)
from raftify.wire.codec import encode_entry

_T = TypeVar("_T")

#: How many runs of discarded entries a compaction deletes at once; a write takes fewer along.
_COMPACTION_RUNS: Final = 1024
_RUNS_PER_WRITE: Final = 64
_TRANSACTIONS_UNTIL_REUSE: Final = 2
#: How many seconds a reader waits for a commit that it sees already to be shown: microseconds,
#: but that the machine may do something else in between.
_SHOWN_WITHIN: Final = 10.0


@dataclass(frozen=True, slots=True)
class _View:
    """What readers see: one consistent state of the store, replaced as a whole by each write.

    `generation` grows whenever entries are replaced, so that what was read in several
    transactions is known to be of one history.
    """

    state: LogState
    cache: EntryCache
    generation: int
    txn_id: int


class _Stale(Exception):
    """The transaction just begun sees more, or less, than the view that was taken before."""


class RecordStorage(StableStorage):
    """The durable store of one node, over the records and files of an opened directory.

    Reads may come from any thread and never wait for a write. Every write is one synced
    transaction; `must_sync` makes no difference, since no environment can leave out the sync of a
    single transaction without giving up the order in which they reach the disk.
    """

    def __init__(self, directory: LogDirectory, config: Config, logger: logging.Logger) -> None:
        """Take over an opened directory."""
        self._lock = directory.lock
        self._env = directory.environment
        self._files = directory.files
        self._place = directory.place
        self._logger = logger
        self._cache_bytes = config.entry_cache_bytes
        self._writing = threading.Lock()
        # Notified whenever `_view` was replaced.
        self._shown = threading.Condition()
        contents = directory.contents
        self._identity = contents.identity
        self._incarnations = contents.incarnations
        self._seal = contents.seal
        # What was read last, and of which generation: terms are often asked for one by one.
        self._last_run = (0, contents.last_run)
        # Whatever lies before the first entry is deleted bit by bit by the writes to come.
        self._garbage = contents.state.last_index > 0
        state = contents.state
        self._view: _View | None = _View(
            state, EntryCache(state.last_index + 1), 0, contents.txn_id
        )

    @classmethod
    def _opened(
        cls,
        open_directory: Callable[[Path, Config], LogDirectory],
        log_dir: str | Path | None,
        config: Config | None,
        logger: logging.Logger | None,
    ) -> Self:
        """Check the arguments of `create`, open the directory that they name, and log it."""
        config = Config() if config is None else config
        if not isinstance(config, Config):
            raise ConfigError(f"config is {type(config).__name__}, no Config")
        if log_dir is not None and not isinstance(log_dir, str | os.PathLike):
            raise ConfigError(f"log_dir is a path, not {type(log_dir).__name__}")
        if log_dir is not None and "\x00" in str(log_dir):
            raise ConfigError(f"log_dir {log_dir!r:.60} is no path: it has a null byte")
        if logger is not None and not isinstance(logger, logging.Logger | logging.LoggerAdapter):
            raise ConfigError(f"logger is {type(logger).__name__}, no logging.Logger")
        logger = logger or logging.getLogger("raftify.storage")
        path = Path(log_dir if log_dir is not None else config.log_dir)
        storage = cls(open_directory(path, config), config, logger)
        state = storage._state()
        logger.info(
            "opened the log in %s: entries %d to %d, term %d, commit %d",
            path,
            state.before_index + 1,
            state.last_index,
            state.hard_state.term,
            state.hard_state.commit,
        )
        return storage

    # -- reads ------------------------------------------------------------------------------

    def identity(self) -> StoreIdentity | None:
        self._current()
        return self._identity

    def membership(self) -> Membership:
        return self._state().membership

    def initial_state(self) -> RaftState:
        return self._state().raft_state()

    def first_index(self) -> int:
        return self._state().before_index + 1

    def last_index(self) -> int:
        return self._state().last_index

    def term(self, index: int) -> int:
        return self._consistently(lambda view: self._term_in(view, index))

    def entries(self, low: int, high: int, max_size_bytes: int | None = None) -> list[Entry]:
        view = self._current()
        view.state.check_range(low, high)
        if low >= high:
            return []
        if low >= view.cache.first:
            return view.cache.entries(low, high, max_size_bytes)
        return self._consistently(lambda view: self._entries_in(view, low, high, max_size_bytes))

    def snapshot(self, request_index: int, to: int) -> Snapshot:
        return self._state().snapshot_for(request_index, to)

    def latest_snapshot(self) -> Snapshot:
        return self._state().snapshot

    def open_snapshot(self, snapshot: Snapshot) -> BinaryIO:
        self._current()
        return self._files.open_for_reading(decode_descriptor(snapshot))

    def known_incarnations(self) -> dict[int, str]:
        self._current()
        return dict(self._incarnations)

    def place_check(self) -> Callable[[], None] | None:
        return None if self._place is None else self._place.check

    # -- writes -----------------------------------------------------------------------------

    def initialize(self, identity: StoreIdentity, membership: Membership) -> None:
        with self._writing:
            view = self._current()
            check_new(self._identity, identity)
            state = initial_log(membership)
            with self._env.writing() as txn:
                value = schema.encode_identity(identity)
                seal = records.put_record(self._env, txn, self._seal, schema.IDENTITY_KEY, value)
                seal = records.put_state(self._env, txn, view.state, state, seal)
            self._identity, self._seal = identity, seal
            self._show(state, EntryCache(state.last_index + 1), view.generation + 1)

    def write(self, batch: WriteBatch) -> None:
        with self._writing:
            view = self._initialized()
            change = plan_write(view.state, batch, self.term)
            if change.state.snapshot is not view.state.snapshot:
                self._files.check(decode_descriptor(change.state.snapshot))
            garbage = self._garbage or change.state.before_index > view.state.before_index
            with self._env.writing() as txn:
                sizes, seal = lmdb_runs.change_log(self._env, txn, change, self._seal)
                if garbage:
                    garbage = lmdb_runs.collect_garbage(
                        self._env, txn, change.state, max_runs=_RUNS_PER_WRITE
                    )
                seal = records.put_state(self._env, txn, view.state, change.state, seal)
            self._garbage, self._seal = garbage, seal
            self._show_change(view, change, sizes)
            if change.state.snapshot is not view.state.snapshot:
                self._files.adopt(decode_descriptor(change.state.snapshot))

    def create_snapshot_sink(self, file_id: str = "") -> SnapshotSink:
        self._current()
        return self._files.create_sink(file_id)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        with self._writing:
            view = self._initialized()
            state = plan_saved_snapshot(view.state, snapshot, self.term)
            descriptor = decode_descriptor(snapshot)
            self._files.check(descriptor)
            # A full log is made room in by a snapshot and the compaction that follows it.
            with self._env.headroom(), self._env.writing() as txn:
                seal = records.put_state(self._env, txn, view.state, state, self._seal)
            self._seal = seal
            self._show(state, view.cache, view.generation)
            self._files.adopt(descriptor)

    def compact(self, first_index: int) -> None:
        with self._writing:
            view = self._initialized()
            state = plan_compaction(view.state, first_index, self.term)
            self._env.forget_dead_readers()
            with self._env.headroom():
                self._collect(view, state)
                if self._env.is_more_than_half_full():
                    self._make_room(state)
                # Otherwise the rest goes with the writes to come.

    def remember_incarnation(self, node_id: int, incarnation: str) -> None:
        with self._writing:
            view = self._initialized()
            known = dict(self._incarnations)
            if known.pop(node_id, "") == incarnation:
                return
            if incarnation:
                known[node_id] = incarnation
            key, value = schema.incarnation_key(node_id), incarnation.encode() or None
            with self._env.writing() as txn:
                seal = records.put_record(self._env, txn, self._seal, key, value)
                seal = records.put_state(self._env, txn, view.state, view.state, seal)
            self._incarnations, self._seal = known, seal
            self._show(view.state, view.cache, view.generation)

    def close(self) -> None:
        with self._writing:
            if self._view is None:
                return
            with self._shown:
                self._view = None
                self._shown.notify_all()
            try:
                self._env.close()
            finally:
                self._lock.release()

    # -- within -----------------------------------------------------------------------------

    def _current(self) -> _View:
        view = self._view
        if view is None:
            raise StorageError(f"the log in {self._env.path.parent} is closed")
        return view

    def _initialized(self) -> _View:
        view = self._current()
        if self._identity is None:
            raise StorageError(
                f"the log in {self._env.path.parent} belongs to nobody yet: initialize it first"
            )
        return view

    def _state(self) -> LogState:
        return self._current().state

    def _show(self, state: LogState, cache: EntryCache, generation: int) -> None:
        """Let readers see what has just been committed."""
        view = _View(state, cache, generation, self._env.last_txn_id())
        with self._shown:
            self._view = view
            self._shown.notify_all()

    def _show_change(self, view: _View, change: LogChange, sizes: Sequence[int]) -> None:
        cache, generation = view.cache, view.generation
        if change.discard_all:
            cache = EntryCache(change.state.before_index + 1)
            generation += 1
        elif change.discard_from is not None:
            cache = cache.without_from(change.discard_from)
            generation += 1
        if change.entries:
            cache = cache.extended(change.entries, sizes, self._cache_bytes)
        self._show(change.state, cache, generation)

    def _collect(self, view: _View, state: LogState) -> None:
        with self._env.writing() as txn:
            garbage = lmdb_runs.collect_garbage(self._env, txn, state, max_runs=_COMPACTION_RUNS)
            seal = records.put_state(self._env, txn, view.state, state, self._seal)
        self._garbage, self._seal = garbage, seal
        self._show(state, view.cache, view.generation)

    def _make_room(self, state: LogState) -> None:
        """Delete all that is left of what was discarded, and let the writes to come have its place.

        LMDB reuses pages only when they have been free for two transactions.
        """
        while self._garbage:
            self._collect(self._current(), state)
        for _ in range(_TRANSACTIONS_UNTIL_REUSE):
            self._collect(self._current(), state)

    def _consistently(self, read: Callable[[_View], _T]) -> _T:
        """Return what `read` makes of one view, again if that was replaced meanwhile."""
        while True:
            try:
                return read(self._current())
            except _Stale:
                continue

    def _term_in(self, view: _View, index: int) -> int:
        if index == view.state.before_index:
            return view.state.before_term
        view.state.check_range(index, index + 1)
        if index >= view.cache.first:
            return view.cache.entry(index).term
        generation, run = self._last_run
        if generation != view.generation or not run.first_index <= index < run.end:
            run = self._read_runs(view, index, index + 1, 0)[0]
        return run.entry(index, self._env.path).term

    def _entries_in(
        self, view: _View, low: int, high: int, max_size_bytes: int | None
    ) -> list[Entry]:
        view.state.check_range(low, high)
        limit = NO_LIMIT if max_size_bytes is None else max_size_bytes
        taken: list[Entry] = []
        size = 0
        while (at := low + len(taken)) < high and (not taken or size < limit):
            if at >= view.cache.first:
                found: Iterable[Entry] = view.cache.entries(at, high, max_size_bytes)
            else:
                found = self._entries_on_disk(view, at, high, limit - size)
            for entry in found:
                size += len(entry.encoded or encode_entry(entry))
                if size > limit and taken:
                    return taken
                taken.append(entry)
        return taken

    def _entries_on_disk(self, view: _View, low: int, high: int, max_bytes: int) -> Iterator[Entry]:
        """Yield entries from `low` on, decoded only when asked for: some, perhaps not all."""
        generation, run = self._last_run
        if generation == view.generation and run.first_index <= low < run.end:
            runs = [run]
        else:
            runs = self._read_runs(view, low, high, min(max_bytes, lmdb_runs.READ_BYTES))
        for run in runs:
            for index in range(max(low, run.first_index), min(high, run.end)):
                yield run.entry(index, self._env.path)

    def _read_runs(self, view: _View, low: int, high: int, max_bytes: int) -> list[schema.Run]:
        """Return runs from the one with `low` on, of the same history as `view`.

        Raises:
            _Stale: entries that `view` has were replaced or discarded meanwhile.
        """
        while True:
            current = self._current()
            if current.generation != view.generation or low <= current.state.before_index:
                raise _Stale
            with self._env.reading() as txn:
                # A commit is seen by new transactions a moment before it is shown to readers.
                if txn.id() == current.txn_id:
                    runs = lmdb_runs.read_runs(self._env, txn, low, high, max_bytes)
                    self._last_run = (view.generation, runs[-1])
                    return runs
            self._await_another(current)

    def _await_another(self, view: _View) -> None:
        """Wait until `view` is no longer what readers see; a commit has made it old already."""
        with self._shown:
            if not self._shown.wait_for(lambda: self._view is not view, _SHOWN_WITHIN):
                raise StorageError(
                    f"{self._env.path} was changed behind the back of this process: let nothing "
                    "else write to it, and start again"
                )
