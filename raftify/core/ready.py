"""What a RawNode wants done: Ready, and the contract between it and its driver."""

from __future__ import annotations

from dataclasses import dataclass, field

from raftify.core.read_only import ReadState
from raftify.core.types import Entry, HardState, Message, Snapshot, SoftState


@dataclass(slots=True)
class LightReady:
    """What may be done once the Ready before is durable: raft-rs's LightReady.

    `commit_index` is None if it did not change. It need not be made durable by itself.
    `messages` may leave at once.
    """

    commit_index: int | None = None
    committed_entries: list[Entry] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


@dataclass(slots=True)
class Ready:
    """One batch of work for the driver. The contract:

    1. `messages` may be sent at once: a leader's appends overlap its own disk write (thesis
       10.2.1).
    2. `snapshot`, `entries` and `hs` are made durable in one transaction, which is synced when
       `must_sync` is true. `entries` replace everything in storage from the first one's index on; a
       snapshot that is not empty replaces the whole log before.
    3. Only then are `persisted_messages` sent. No vote and no append response leaves before its
       sync.
    4. `committed_entries` are applied in order. They are durable here already, unless
       `max_apply_unpersisted_log_limit` says otherwise.
    5. `advance`, or `advance_append`, or `advance_append_async` closes it, before `ready()` is
       called again; storage must show what was written by then. After `advance_append_async` comes
       `on_persist_ready(number)` once it is synced. Several Readies may wait for that, and the
       call stands for all up to its number; it comes before answers to messages of point 3 are
       stepped.
    6. While it is open, messages may be stepped and ticks given, which raft-rs forbids; what
       follows from them is in the next Ready.
    7. Configuration changes among `committed_entries` are applied with `apply_conf_change` in their
       turn, before `advance`, `advance_apply` or `advance_apply_to` says they are.
    """

    number: int = 0
    #: Who leads and what this node is, if that changed.
    ss: SoftState | None = None
    #: Term, vote and commit, if one of them changed.
    hs: HardState | None = None
    #: Reads that may be done as soon as their index is applied.
    read_states: list[ReadState] = field(default_factory=list)
    #: Contexts of reads asked for here that will never be answered: the leader changed, or there is
    #: none. They may be repeated.
    dropped_reads: list[bytes] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    snapshot: Snapshot = field(default_factory=Snapshot)
    committed_entries: list[Entry] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    persisted_messages: list[Message] = field(default_factory=list)
    #: False if nothing but the commit index is to be written.
    must_sync: bool = False

    @property
    def soft_state(self) -> SoftState | None:
        """The same as `ss`."""
        return self.ss

    @property
    def hard_state(self) -> HardState | None:
        """The same as `hs`."""
        return self.hs
