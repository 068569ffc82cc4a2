"""What the leader knows of one node's log, and what it may send it next."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from raftify.core.inflights import Inflights
from raftify.core.types import INVALID_INDEX
from raftify.errors import InvariantViolation


class ProgressState(IntEnum):
    """How the leader sends to a node; the numbers are raft-rs's."""

    #: One append per heartbeat interval, to find out where the logs agree.
    PROBE = 0
    #: Appends back to back, as many at once as `Inflights` allows.
    REPLICATE = 1
    #: Nothing: a snapshot is on its way.
    SNAPSHOT = 2


# A module's global is read faster than an enum's member, and these run for every message.
_PROBE: Final = ProgressState.PROBE
_REPLICATE: Final = ProgressState.REPLICATE
_SNAPSHOT: Final = ProgressState.SNAPSHOT


class Progress:
    """One node's progress, in the eyes of the leader.

    `matched` is the highest index known to be in the node's log, `next_idx` the next one to send.
    `paused` counts while probing only. `pending_snapshot` is the index of the snapshot on its way
    (0: none), `pending_request_snapshot` the index at least which a node asked a snapshot for.
    `recent_active` says that the node was heard of since the last quorum check, `committed_index`
    what the node said it knows to be committed, `commit_group_id` its commit group (0: none).

    Invariants:
    - `matched` never falls while this node leads.
    - 0 <= matched < next_idx when a state is entered, and always while replicating. Only a late,
      repeated rejection may take a probe back to `matched` or below it: the node is sent what it
      has already, as by raft-rs.
    - `ins` is empty but while replicating; `pending_snapshot` is 0 but in SNAPSHOT.
    """

    __slots__ = (
        "commit_group_id",
        "committed_index",
        "ins",
        "matched",
        "next_idx",
        "paused",
        "pending_request_snapshot",
        "pending_snapshot",
        "recent_active",
        "state",
    )

    def __init__(self, next_idx: int, max_inflight: int) -> None:
        self.matched = 0
        self.next_idx = next_idx
        self.state = _PROBE
        self.paused = False
        self.pending_snapshot = 0
        self.pending_request_snapshot = INVALID_INDEX
        self.recent_active = False
        self.ins = Inflights(max_inflight)
        self.commit_group_id = 0
        self.committed_index = 0

    def reset(self, next_idx: int) -> None:
        """Start over, as a new leader does; commit group and committed index stay known."""
        self.matched = 0
        self.next_idx = next_idx
        self.pending_request_snapshot = INVALID_INDEX
        self.recent_active = False
        self._enter(_PROBE)

    def _enter(self, state: ProgressState) -> None:
        self.paused = False
        self.pending_snapshot = 0
        self.state = state
        self.ins.reset()

    def become_probe(self) -> None:
        """Send one append at a time, from behind what matched or what the snapshot brought."""
        # Out of SNAPSHOT, the snapshot has arrived although no append response has said so; a
        # failed one was taken back to index 0 by `snapshot_failure`.
        arrived = self.pending_snapshot if self.state is _SNAPSHOT else 0
        self._enter(_PROBE)
        self.next_idx = max(self.matched, arrived) + 1

    def become_replicate(self) -> None:
        """Send without waiting, from behind what matched."""
        self._enter(_REPLICATE)
        self.next_idx = self.matched + 1

    def become_snapshot(self, snapshot_index: int) -> None:
        """Send nothing until the snapshot at `snapshot_index` has arrived or failed."""
        self._enter(_SNAPSHOT)
        self.pending_snapshot = snapshot_index

    def snapshot_failure(self) -> None:
        """Note that the snapshot did not arrive; `become_probe` follows."""
        self.pending_snapshot = 0

    def is_snapshot_caught_up(self) -> bool:
        """Return whether appends overtook the snapshot on its way."""
        return self.state is _SNAPSHOT and self.matched >= self.pending_snapshot

    def maybe_update(self, index: int) -> bool:
        """Take in that the node has everything up to `index`; False if that is no news."""
        if self.next_idx <= index:
            self.next_idx = index + 1
        if index <= self.matched:
            return False
        self.matched = index
        self.paused = False
        return True

    def update_committed(self, committed_index: int) -> None:
        """Take in that the node knows entries up to `committed_index` to be committed."""
        if committed_index > self.committed_index:
            self.committed_index = committed_index

    def optimistic_update(self, last_index: int) -> None:
        """Assume that what was sent up to `last_index` will arrive."""
        self.next_idx = last_index + 1

    def maybe_decr_to(self, rejected: int, match_hint: int, request_snapshot: int) -> bool:
        """Take in that the node rejected an append; False if the rejection is out of date.

        `rejected` is the index before the append's first entry, `match_hint` the highest index
        at which the node's log may match, `request_snapshot` the index at least which it wants a
        snapshot for (INVALID_INDEX: it wants none).
        """
        wants_snapshot = request_snapshot != INVALID_INDEX
        if self.state is _REPLICATE:
            if rejected < self.matched or (rejected == self.matched and not wants_snapshot):
                return False
            if wants_snapshot:
                self.pending_request_snapshot = request_snapshot
            else:
                self.next_idx = self.matched + 1
            return True

        if wants_snapshot:
            # Never out of date: the node still wants one, wherever its log stands.
            if self.pending_request_snapshot == INVALID_INDEX:
                self.pending_request_snapshot = request_snapshot
        elif rejected != self.next_idx - 1:
            # Nodes are probed one append at a time, so this answers an earlier one.
            return False
        else:
            self.next_idx = max(min(rejected, match_hint + 1), 1)
        self.paused = False
        return True

    def is_paused(self) -> bool:
        """Return whether nothing may be sent to the node now."""
        state = self.state
        if state is _REPLICATE:
            return self.ins.full()
        return state is _SNAPSHOT or self.paused

    def resume(self) -> None:
        """Allow the next probe."""
        self.paused = False

    def pause(self) -> None:
        """Hold back further probes."""
        self.paused = True

    def update_state(self, last_index: int) -> None:
        """Take in that an append with entries up to `last_index` was sent.

        Raises:
            InvariantViolation: a snapshot is on its way, when no append may be sent.
        """
        state = self.state
        if state is _REPLICATE:
            self.next_idx = last_index + 1
            self.ins.add(last_index)
        elif state is _PROBE:
            self.paused = True
        else:
            raise InvariantViolation(
                f"an append up to index {last_index} was sent while the snapshot at index "
                f"{self.pending_snapshot} is on its way"
            )
