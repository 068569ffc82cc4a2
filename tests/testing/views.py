"""Nodes as observers see them, made by hand: a core over a memory storage, and what a disk has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from raftify.core.raft_core import RaftCore
from raftify.core.types import ConfState, Entry, HardState, Role, Snapshot, SnapshotMetadata
from raftify.peers import Membership
from tests.core.network import config, founded, lone


@dataclass
class FakeDisk:
    """What a crash would leave; tests change it at will."""

    hard_state: HardState = field(default_factory=lambda: HardState(1, 0, 1))
    snapshot_index: int = 1
    membership: Membership = field(default_factory=lambda: Membership(index=1))
    before: tuple[int, int] = (1, 1)
    terms: list[int] = field(default_factory=list)

    @property
    def first_index(self) -> int:
        return self.before[0] + 1

    @property
    def last_index(self) -> int:
        return self.before[0] + len(self.terms)

    def term(self, index: int) -> int | None:
        if index == self.before[0]:
            return self.before[1]
        offset = index - self.first_index
        return self.terms[offset] if 0 <= offset < len(self.terms) else None


class FakeNode:
    """A node of a cluster of three that was founded just now."""

    def __init__(self, node_id: int = 1, voters: tuple[int, ...] = (1, 2, 3), **settings: Any):
        self.stored = founded(voters)
        self.raw = lone(self.stored, node_id, **settings)
        self.id = node_id
        self.incarnation = 1
        self.running = True
        self.applied = 1
        self.disk = FakeDisk()

    @property
    def raft(self) -> RaftCore:
        return self.raw.raft

    def lead(self, term: int) -> FakeNode:
        """Make it leader of `term`, its log as it is."""
        self.raft.term = term
        self.raft.role = Role.LEADER
        self.raft.leader_id = self.id
        self.disk.hard_state = HardState(term, self.id, 1)
        return self

    def follow(self, term: int) -> FakeNode:
        self.raft.term = term
        self.raft.role = Role.FOLLOWER
        return self

    def append(self, *entries: Entry, durable: bool = True) -> FakeNode:
        """Append entries, replacing what is there, with no questions asked."""
        self.raft.raft_log.unstable.truncate_and_append(list(entries))
        if durable:
            del self.disk.terms[entries[0].index - self.disk.first_index :]
            self.disk.terms += [entry.term for entry in entries]
            # Whoever has an entry durably has been in its term.
            state = self.disk.hard_state
            term = max(state.term, *(entry.term for entry in entries))
            self.disk.hard_state = HardState(term, state.vote if term == state.term else 0, 1)
            # An entry reaches the disk with its term, or after it.
            hard = self.disk.hard_state
            if entries[-1].term > hard.term:
                self.disk.hard_state = HardState(entries[-1].term, 0, hard.commit)
        return self

    def hand_to_storage(self) -> FakeNode:
        """Let the core read back from storage what it has appended."""
        log = self.raft.raft_log
        self.stored.append(log.unstable.entries)
        log.unstable.stable_entries(log.last_index(), log.last_term())
        return self

    def commit(self, index: int) -> FakeNode:
        self.raft.raft_log.committed = index
        return self

    def hand_out(self, index: int) -> FakeNode:
        self.raft.raft_log.applied = index
        return self

    def restart(self) -> FakeNode:
        """Begin another process, with an empty core."""
        self.stored = founded((1, 2, 3))
        self.raw = lone(self.stored, self.id)
        self.incarnation += 1
        self.applied = 0
        return self


def at(index: int, term: int, data: bytes = b"x", **fields: Any) -> Entry:
    return Entry(term=term, index=index, data=data, **fields)


def snapshot(index: int, term: int, voters: tuple[int, ...] = (1, 2, 3)) -> Snapshot:
    return Snapshot(b"", SnapshotMetadata(ConfState(voters), index, term))


__all__ = ["FakeDisk", "FakeNode", "at", "config", "snapshot"]
