"""A cluster in one process: nodes over MemoryStorage, and a network that does as it is told.

Nothing here sleeps. Messages are carried until none is left; what the network drops is lost.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from raftify.core.confchange_codec import decode_conf_change, decode_conf_change_v2
from raftify.core.config import RaftConfig
from raftify.core.memory_storage import MemoryStorage
from raftify.core.raft_core import RaftCore
from raftify.core.raw_node import RawNode, SnapshotStatus
from raftify.core.read_only import ReadState
from raftify.core.ready import LightReady, Ready
from raftify.core.types import (
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    Role,
    Snapshot,
    SnapshotMetadata,
)
from raftify.errors import Rejected

#: Drops a message if it returns False.
Filter = Callable[[Message], bool]


def config(node_id: int = 1, **settings: Any) -> RaftConfig:
    """Return a configuration as raft-rs's tests have it: no guards, no limits."""
    defaults: dict[str, Any] = {
        "election_tick": 10,
        "heartbeat_tick": 1,
        "check_quorum": False,
        "pre_vote": False,
        "max_size_per_msg": (1 << 64) - 1,
        "max_uncommitted_size": (1 << 64) - 1,
        "max_committed_size_per_ready": (1 << 64) - 1,
    }
    return RaftConfig(id=node_id, **{**defaults, **settings})


def founded(voters: Sequence[int], learners: Sequence[int] = ()) -> MemoryStorage:
    """Return a store as every founder of a cluster begins with: a snapshot at index 1, term 1."""
    storage = MemoryStorage()
    conf_state = ConfState(voters=tuple(voters), learners=tuple(learners))
    storage.apply_snapshot(Snapshot(metadata=SnapshotMetadata(conf_state, 1, 1)))
    storage.set_hardstate(HardState(term=1, commit=1))
    return storage


def stored(
    voters: Sequence[int], terms: Iterable[int], *, term: int = 0, vote: int = 0, commit: int = 0
) -> MemoryStorage:
    """Return a store whose log begins at index 1 and has entries of these terms."""
    storage = MemoryStorage.new_with_conf_state(voters)
    log = [Entry(term=entry_term, index=i) for i, entry_term in enumerate(terms, 1)]
    storage.append(log)
    storage.set_hardstate(
        HardState(term=max(term, log[-1].term if log else 0), vote=vote, commit=commit)
    )
    return storage


class Node:
    """A RawNode with its driver: persists, applies, and collects what there is to send.

    `applied` holds the data of every entry applied, `reads` what was answered.
    """

    def __init__(self, settings: RaftConfig, storage: MemoryStorage, seed: int = 0) -> None:
        self.settings = settings
        self.storage = storage
        self.seed = seed
        self.applied: list[bytes] = []
        self.reads: list[ReadState] = []
        self.dropped_reads: list[bytes] = []
        self.snapshots: list[Snapshot] = []
        self.raw = RawNode(settings, storage, random=random.Random(settings.id + 1000 * seed))

    @property
    def raft(self) -> RaftCore:
        """The core, by raft-rs's name."""
        return self.raw.raft

    def restart(self, **changed: Any) -> None:
        """Begin again from what is stored; the state machine is empty and applies anew."""
        self.applied = []
        settings = replace(self.settings, **{"applied": 0, **changed})
        self.raw = RawNode(settings, self.storage, random=random.Random(settings.id + self.seed))

    def process(self) -> list[Message]:
        """Do what every Ready asks for until there is none, and return what is to be sent."""
        sent: list[Message] = []
        while self.raw.has_ready():
            ready = self.raw.ready()
            self.persist(ready)
            sent += ready.messages + ready.persisted_messages
            self.reads += ready.read_states
            self.dropped_reads += ready.dropped_reads
            self.apply(ready)
            light = self.raw.advance_append(ready)
            sent += light.messages
            self.apply(light)
            self.raw.advance_apply()
        return sent

    def persist(self, ready: Ready) -> None:
        """Write what a Ready says, in the order it says."""
        if not ready.snapshot.is_empty():
            self.storage.apply_snapshot(ready.snapshot)
            self.snapshots.append(ready.snapshot)
        self.storage.append(ready.entries)
        if ready.hs is not None:
            self.storage.set_hardstate(ready.hs)

    def apply(self, ready: Ready | LightReady) -> None:
        """Apply committed entries, configuration changes among them."""
        for entry in ready.committed_entries:
            if entry.entry_type is EntryType.NORMAL:
                if entry.data:
                    self.applied.append(entry.data)
            elif entry.entry_type is EntryType.CONF_CHANGE:
                change = decode_conf_change(entry.data)
                self.storage.set_conf_state(self.raw.apply_conf_change(change))
            else:
                change_v2 = decode_conf_change_v2(entry.data)
                self.storage.set_conf_state(self.raw.apply_conf_change(change_v2))
        if ready.committed_entries:
            hard_state = self.storage.initial_state().hard_state
            hard_state.commit = max(hard_state.commit, ready.committed_entries[-1].index)
            self.storage.set_hardstate(hard_state)

    def terms(self) -> list[int]:
        """Return the terms of all entries in the log."""
        return [entry.term for entry in self.raft.raft_log.all_entries()]


class Network:
    """Nodes, and the messages between them.

    `cut`, `isolate`, `drop`, `ignore` and `filter` take effect on messages sent from then on, until
    `recover`. `log` keeps every message that was delivered.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes = {node.raft.id: node for node in nodes}
        self.log: list[Message] = []
        self._cut: set[tuple[int, int]] = set()
        self._ignored: set[MessageType] = set()
        self._filters: list[Filter] = []

    @classmethod
    def of(cls, voters: Sequence[int], learners: Sequence[int] = (), **settings: Any) -> Network:
        """Return a cluster whose founders are given."""
        everybody = [*voters, *learners]
        return cls(Node(config(i, **settings), founded(voters, learners)) for i in everybody)

    def __getitem__(self, node_id: int) -> Node:
        return self.nodes[node_id]

    def raft(self, node_id: int) -> RaftCore:
        """Return a node's core."""
        return self.nodes[node_id].raft

    # -- what the network does to messages ----------------------------------------------------

    def cut(self, one: int, other: int) -> None:
        """Lose everything between two nodes."""
        self._cut |= {(one, other), (other, one)}

    def drop(self, from_: int, to: int) -> None:
        """Lose everything in one direction."""
        self._cut.add((from_, to))

    def isolate(self, *group: int) -> None:
        """Lose everything between a group and the rest."""
        for inside in group:
            for outside in self.nodes.keys() - set(group):
                self.cut(inside, outside)

    def ignore(self, *types: MessageType) -> None:
        """Lose all messages of these types."""
        self._ignored.update(types)

    def filter(self, keep: Filter) -> None:
        """Lose all messages that `keep` returns False for."""
        self._filters.append(keep)

    def recover(self) -> None:
        """Lose nothing any more."""
        self._cut.clear()
        self._ignored.clear()
        self._filters.clear()

    def _passes(self, message: Message) -> bool:
        return (
            message.to in self.nodes
            and (message.from_, message.to) not in self._cut
            and message.msg_type not in self._ignored
            and all(keep(message) for keep in self._filters)
        )

    # -- carrying -----------------------------------------------------------------------------

    def collect(self) -> list[Message]:
        """Let every node do its work, and return what gets through."""
        sent = [message for node in self.nodes.values() for message in node.process()]
        passing = [message for message in sent if self._passes(message)]
        for message in sent:
            if message.msg_type is MessageType.SNAPSHOT:
                # As a transport does, which knows whether the file arrived.
                arrived = any(message is one for one in passing)
                status = SnapshotStatus.FINISH if arrived else SnapshotStatus.FAILURE
                self.nodes[message.from_].raw.report_snapshot(message.to, status)
        return passing

    def deliver(self, messages: Iterable[Message]) -> None:
        """Hand messages over; a node may refuse one."""
        for message in messages:
            self.log.append(message)
            try:
                self.nodes[message.to].raw.step(message)
            except Rejected:
                continue

    def settle(self, rounds: int = 200) -> None:
        """Carry messages until there are none."""
        for _ in range(rounds):
            messages = self.collect()
            if not messages:
                return
            self.deliver(messages)
        raise AssertionError("the nodes do not come to rest")

    def tick(self, node_id: int, ticks: int = 1) -> None:
        """Let time pass for one node, and carry what comes of it."""
        for _ in range(ticks):
            self.nodes[node_id].raw.tick()
            self.settle()

    def tick_all(self, ticks: int = 1, *, without: Iterable[int] = ()) -> None:
        """Let time pass for everybody."""
        for _ in range(ticks):
            for node_id in self.nodes.keys() - set(without):
                self.nodes[node_id].raw.tick()
            self.settle()

    # -- short cuts -----------------------------------------------------------------------------

    def elect(self, node_id: int) -> Node:
        """Let a node campaign; it must win."""
        node = self.nodes[node_id]
        node.raw.campaign()
        self.settle()
        assert node.raft.role is Role.LEADER, f"node {node_id} is {node.raft.role.name}"
        return node

    def propose(self, node_id: int, *proposals: bytes) -> None:
        """Propose at a node, and carry what comes of it."""
        for data in proposals:
            self.nodes[node_id].raw.propose(b"", data)
        self.settle()

    def leaders(self) -> list[int]:
        """Return who thinks it leads."""
        return [i for i, node in self.nodes.items() if node.raft.role is Role.LEADER]

    def committed(self) -> dict[int, int]:
        """Return everybody's commit index."""
        return {i: node.raft.raft_log.committed for i, node in self.nodes.items()}

    def roles(self) -> dict[int, Role]:
        """Return everybody's role."""
        return {i: node.raft.role for i, node in self.nodes.items()}


# -- a node without a driver, for tests of single messages -------------------------------


def lone(storage: MemoryStorage, node_id: int = 1, **settings: Any) -> RawNode:
    """Return a RawNode whose messages are read straight from its core."""
    return RawNode(config(node_id, **settings), storage, random=random.Random(node_id))


def take(raw: RawNode) -> list[Message]:
    """Return what a node wants to send, and forget it."""
    messages, raw.raft.msgs = raw.raft.msgs, []
    return messages


def role(raw: RawNode) -> Role:
    """Return a node's role, afresh each time."""
    return raw.raft.role


def lead(raw: RawNode) -> None:
    """Make a node leader by the votes of everybody, its empty entry durable, nothing sent."""
    raw.campaign()
    if role(raw) is Role.PRE_CANDIDATE:
        vote(raw, MessageType.REQUEST_PRE_VOTE_RESPONSE, raw.raft.term + 1)
    if role(raw) is Role.CANDIDATE:
        vote(raw, MessageType.REQUEST_VOTE_RESPONSE, raw.raft.term)
    assert role(raw) is Role.LEADER
    persist(raw)
    take(raw)


def vote(raw: RawNode, msg_type: MessageType, term: int) -> None:
    """Give a candidate the votes of everybody else."""
    for voter in raw.raft.tracker.conf.voters.ids() - {raw.raft.id}:
        raw.raft.step(Message(msg_type, from_=voter, to=raw.raft.id, term=term))


def persist(raw: RawNode) -> Ready:
    """Make what a node wants durable, as a driver does that keeps its messages back."""
    messages = take(raw)
    ready = raw.ready()
    storage = raw.store()
    assert isinstance(storage, MemoryStorage)
    if not ready.snapshot.is_empty():
        storage.apply_snapshot(ready.snapshot)
    storage.append(ready.entries)
    if ready.hs is not None:
        storage.set_hardstate(ready.hs)
    raw.advance_append_async(ready)
    raw.on_persist_ready(ready.number)
    raw.raft.msgs = messages + raw.raft.msgs
    return ready


def accept(raw: RawNode, from_: int, index: int) -> None:
    """Let a follower acknowledge the leader's log up to `index`."""
    raw.step(Message(MessageType.APPEND_RESPONSE, from_=from_, term=raw.raft.term, index=index))


def entries(*positions: tuple[int, int], data: bytes = b"") -> list[Entry]:
    """Return entries of these (index, term)."""
    return [Entry(term=term, index=index, data=data) for index, term in positions]


def write(raw: RawNode, ready: Ready) -> None:
    """Make a Ready visible in storage."""
    storage = raw.store()
    assert isinstance(storage, MemoryStorage)
    if not ready.snapshot.is_empty():
        storage.apply_snapshot(ready.snapshot)
    storage.append(ready.entries)
    if ready.hs is not None:
        storage.set_hardstate(ready.hs)


def append(raw: RawNode, *positions: tuple[int, int], term: int = 2, commit: int = 0) -> None:
    """Let the leader, node 2, send entries."""
    before = positions[0][0] - 1
    raw.step(
        Message(
            MessageType.APPEND,
            from_=2,
            term=term,
            index=before,
            log_term=raw.raft.raft_log.term(before),
            entries=entries(*positions),
            commit=commit,
        )
    )


def persist_open(raw: RawNode) -> Ready:
    ready = raw.ready()
    write(raw, ready)
    return ready


def snapshot(
    index: int,
    term: int,
    voters: tuple[int, ...] = (1, 2, 3),
    learners: tuple[int, ...] = (),
    voters_outgoing: tuple[int, ...] = (),
) -> Snapshot:
    conf_state = ConfState(voters, learners, voters_outgoing)
    return Snapshot(b"data", SnapshotMetadata(conf_state, index, term))
