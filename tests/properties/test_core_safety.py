"""Random schedules against Raft's safety properties (paper, Figure 3), then healing.

Every run comes from one seed: messages are lost, repeated and reordered, nodes are cut off, crash
and forget what was not synced, snapshots replace logs, members come and go, several Readies are
under way at once. While that lasts nothing unsafe may happen; once it ends, the cluster must agree.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from raftify.core.confchange_codec import decode_conf_change, decode_conf_change_v2
from raftify.core.memory_storage import MemoryStorage
from raftify.core.raw_node import RawNode, SnapshotStatus
from raftify.core.ready import LightReady, Ready
from raftify.core.types import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    Role,
    Snapshot,
    SnapshotMetadata,
)
from raftify.errors import Compacted, Rejected, SnapshotTemporarilyUnavailable
from tests.core.network import config, founded

FOUNDERS = [1, 2, 3]
EVERYBODY = range(1, 6)


class Disk(MemoryStorage):
    """A storage whose latest writes are lost in a crash until they are synced."""

    def __init__(self) -> None:
        super().__init__()
        self.made: Snapshot = Snapshot()
        #: Somebody needs a newer snapshot than there is.
        self.wanted = False

    def copy(self) -> Disk:
        """Return what a crash would leave if everything were synced now."""
        other = Disk()
        other._hard_state = replace(self._hard_state)
        other._conf_state = self._conf_state
        other._entries = list(self._entries)
        other._snapshot = self._snapshot
        other._before = self._before
        other.made = self.made
        return other

    def snapshot(self, request_index: int, to: int) -> Snapshot:
        """Return the latest snapshot taken of the state machine."""
        metadata = self.made.metadata
        members = {*metadata.conf_state.voters, *metadata.conf_state.learners}
        members.update(metadata.conf_state.voters_outgoing)
        if metadata.index < max(1, request_index) or to not in members:
            self.wanted = True
            raise SnapshotTemporarilyUnavailable("none yet")
        return self.made


class Machine:
    """One node with its driver. `history` is the state machine: every entry applied."""

    def __init__(self, world: World, node_id: int, disk: Disk) -> None:
        self.world = world
        self.id = node_id
        self.disk = disk
        self.synced = disk.copy()
        self.histories: dict[int, list[tuple[int, bytes]]] = {0: []}
        self.boot()

    def boot(self) -> None:
        """Start from what the disk holds."""
        self.disk = self.synced.copy()
        applied = self.disk.made.metadata.index
        self.history = self.world.state_at(applied)
        self.applied = applied
        # The state machine restarts from its snapshot, and with it the configuration.
        if applied:
            self.disk.set_conf_state(self.disk.made.metadata.conf_state)
        settings = config(
            self.id,
            applied=applied if applied > 1 else 0,
            check_quorum=self.world.guarded,
            pre_vote=self.world.guarded,
            max_size_per_msg=self.world.max_size,
            max_inflight_msgs=4,
            batch_append=self.world.batching,
            max_committed_size_per_ready=200,
        )
        seed = self.world.random.random()
        self.raw = RawNode(settings, self.disk, random=random.Random(seed))
        #: Readies under way: number, messages to send after the sync, and the disk as it was then.
        self.unsynced: list[tuple[int, list[Message], Disk]] = []

    def work(self) -> None:
        """Take a Ready, write it without a sync, and send what may leave at once."""
        if not self.raw.has_ready():
            return
        ready = self.raw.ready()
        self.world.send(ready.messages)
        if not ready.snapshot.is_empty():
            self.disk.apply_snapshot(ready.snapshot)
            self.disk.made = ready.snapshot
            self.applied = ready.snapshot.metadata.index
            self.history = self.world.state_at(self.applied)
        self.disk.append(ready.entries)
        if ready.hs is not None:
            self.disk.set_hardstate(ready.hs)
        self.raw.advance_append_async(ready)
        self.apply(ready)
        self.unsynced.append((ready.number, ready.persisted_messages, self.disk.copy()))

    def sync(self) -> None:
        """Make the oldest Ready durable, and send what waited for that."""
        if self.unsynced:
            number, messages, self.synced = self.unsynced.pop(0)
            self.raw.on_persist_ready(number)
            self.world.send(messages)
        if self.disk.wanted:
            self.take_snapshot()

    def apply(self, ready: Ready | LightReady) -> None:
        """Apply committed entries."""
        for entry in ready.committed_entries:
            assert entry.index == self.applied + 1, "each index once, in order"
            self.applied = entry.index
            self.change(entry)
            self.history = [*self.history, (entry.index, entry.data)]
            self.world.check_applied(self, entry)
        if ready.committed_entries:
            self.raw.advance_apply_to(self.applied)

    def change(self, entry: Entry) -> None:
        """Apply a configuration change."""
        if entry.entry_type is EntryType.NORMAL:
            return
        decode = (
            decode_conf_change
            if entry.entry_type is EntryType.CONF_CHANGE
            else decode_conf_change_v2
        )
        try:
            self.disk.set_conf_state(self.raw.apply_conf_change(decode(entry.data)))
        except Rejected:
            return

    def take_snapshot(self) -> None:
        """Snapshot the state machine and compact the log up to it. The write is synced."""
        if self.unsynced or self.applied <= self.disk.made.metadata.index:
            return
        try:
            term = self.disk.term(self.applied)
        except Compacted:
            return
        conf_state = self.raw.status().conf_state
        self.disk.wanted = False
        self.disk.made = Snapshot(metadata=SnapshotMetadata(conf_state, self.applied, term))
        hard_state = self.disk.initial_state().hard_state
        hard_state.commit = max(hard_state.commit, self.applied)
        self.disk.set_hardstate(hard_state)
        self.disk.compact(self.applied - 2)
        self.synced = self.disk.copy()


class World:
    """All machines, the network between them, and the properties that must hold."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.guarded = self.random.random() < 0.7
        self.batching = self.random.random() < 0.3
        self.max_size = self.random.choice([0, 60, 1 << 20])
        self.leaders: dict[int, int] = {}
        self.agreed: dict[int, tuple[int, bytes]] = {1: (1, b"")}
        self.network: list[Message] = []
        self.cut: set[tuple[int, int]] = set()
        self.loss = 0.0
        self.proposals = 0
        self.machines: dict[int, Machine] = {}
        for node_id in EVERYBODY:
            self.machines[node_id] = Machine(self, node_id, self.fresh_disk(node_id))

    def fresh_disk(self, node_id: int) -> Disk:
        """Return a founder's disk, or a joiner's, which is empty."""
        disk = Disk()
        if node_id in FOUNDERS:
            model = founded(FOUNDERS)
            disk.made = Snapshot(metadata=SnapshotMetadata(ConfState((1, 2, 3)), 1, 1))
            disk.apply_snapshot(disk.made)
            disk.set_hardstate(model.initial_state().hard_state)
        return disk

    def state_at(self, index: int) -> list[tuple[int, bytes]]:
        """Return the state of a machine that has applied up to `index`."""
        return [(i, self.agreed[i][1]) for i in range(2, index + 1)]

    # -- properties -----------------------------------------------------------------------

    def check_applied(self, machine: Machine, entry: Entry) -> None:
        """State Machine Safety, and that nothing is applied before it is durable here."""
        ours = (entry.term, entry.data)
        assert self.agreed.setdefault(entry.index, ours) == ours, f"index {entry.index}"
        assert entry.index <= machine.raw.raft.raft_log.persisted

    def check(self) -> None:
        """Election Safety, Log Matching, Leader Completeness."""
        for machine in self.machines.values():
            core = machine.raw.raft
            log = core.raft_log
            if core.role is Role.LEADER:
                holder = self.leaders.setdefault(core.term, machine.id)
                assert holder == machine.id, f"two leaders in term {core.term}"
            assert log.applied <= log.committed <= log.last_index()
        self.check_logs()

    def check_logs(self) -> None:
        known: dict[tuple[int, int], tuple[int, bytes]] = {}
        for machine in self.machines.values():
            log = machine.raw.raft.raft_log
            previous = log.term(log.first_index() - 1)
            for entry in log.all_entries():
                here = (previous, entry.data)
                there = known.setdefault((entry.index, entry.term), here)
                assert there[1] == here[1], f"entry {entry.index} of term {entry.term} differs"
                assert 0 in (there[0], here[0]) or there[0] == here[0], f"before {entry.index}"
                previous = entry.term
            for index in range(log.first_index(), log.committed + 1):
                if index in self.agreed:
                    assert log.term(index) == self.agreed[index][0]

    # -- what happens ---------------------------------------------------------------------

    def send(self, messages: list[Message]) -> None:
        for message in messages:
            lost = (message.from_, message.to) in self.cut or self.random.random() < self.loss
            if message.msg_type is MessageType.SNAPSHOT:
                status = SnapshotStatus.FAILURE if lost else SnapshotStatus.FINISH
                self.machines[message.from_].raw.report_snapshot(message.to, status)
            if not lost:
                self.network.append(message)
                if self.random.random() < self.loss / 2:
                    self.network.append(message)

    def deliver(self, number: int) -> None:
        for _ in range(min(number, len(self.network))):
            position = self.random.randrange(min(len(self.network), 4 if self.loss else 1))
            message = self.network.pop(position)
            try:
                self.machines[message.to].raw.step(message)
            except Rejected:
                continue

    def faults(self) -> None:
        """Let one thing go wrong, or be asked for."""
        chance = self.random.random()
        machine = self.machines[self.random.choice(list(EVERYBODY))]
        if chance < 0.1:
            self.cut = {
                (one, other)
                for one in EVERYBODY
                for other in EVERYBODY
                if self.random.random() < self.random.choice([0.0, 0.1, 0.5])
            }
        elif chance < 0.15:
            machine.boot()
        elif chance < 0.3:
            machine.take_snapshot()
        elif chance < 0.4:
            self.reconfigure(machine)
        elif chance < 0.45:
            machine.raw.transfer_leader(self.random.choice(list(EVERYBODY)))
        elif chance < 0.5:
            machine.raw.read_index(b"r")
        elif chance < 0.55:
            machine.raw.report_unreachable(self.random.choice(list(EVERYBODY)))
        else:
            self.propose(machine)

    def propose(self, machine: Machine) -> None:
        self.proposals += 1
        try:
            machine.raw.propose(b"", b"%d" % self.proposals)
        except Rejected:
            return

    def reconfigure(self, machine: Machine) -> None:
        kinds = [
            ConfChangeType.ADD_NODE,
            ConfChangeType.ADD_NODE,
            ConfChangeType.REMOVE_NODE,
            ConfChangeType.ADD_LEARNER_NODE,
        ]
        changes = tuple(
            ConfChangeSingle(self.random.choice(kinds), self.random.choice(list(EVERYBODY)))
            for _ in range(self.random.randrange(0, 3))
        )
        change: ConfChange | ConfChangeV2 = ConfChangeV2(
            self.random.choice(list(ConfChangeTransition)), changes
        )
        if len(changes) == 1 and self.random.random() < 0.5:
            change = ConfChange(0, changes[0].change_type, changes[0].node_id)
        try:
            machine.raw.propose_conf_change(b"", change)
        except Rejected:
            return

    def run(self, steps: int, *, faulty: bool) -> None:
        for _ in range(steps):
            self.loss = 0.1 if faulty else 0.0
            if not faulty:
                self.cut.clear()
                self.keep_out_the_removed()
            if faulty and self.random.random() < 0.3:
                self.faults()
            for machine in self.machines.values():
                if not faulty or self.random.random() < 0.4:
                    machine.raw.tick()
                if not faulty or self.random.random() < 0.7:
                    machine.work()
                if faulty and self.random.random() < 0.5:
                    machine.sync()
                while not faulty and machine.unsynced:
                    machine.sync()
            self.deliver(1000 if not faulty else self.random.randrange(12))
            self.check()

    def keep_out_the_removed(self) -> None:
        """Cut off who is in no configuration: without guards it disturbs (thesis 4.2.3)."""
        newest = max(self.machines.values(), key=lambda m: m.applied).raw.status().conf_state
        if self.guarded:
            return
        members = {*newest.voters, *newest.voters_outgoing, *newest.learners}
        for one in EVERYBODY:
            for other in EVERYBODY:
                if one not in members or other not in members:
                    self.cut.add((one, other))

    def heal(self) -> None:
        """End all faults; the cluster must elect, commit, and agree."""
        self.run(300, faulty=False)
        leaders = [m for m in self.machines.values() if m.raw.raft.role is Role.LEADER]
        newest = max(leaders, key=lambda m: m.raw.raft.term)
        before = newest.raw.raft.raft_log.committed
        self.propose(newest)
        self.run(100, faulty=False)
        status = newest.raw.status()
        assert newest.raw.raft.role is Role.LEADER
        assert newest.applied > before
        if status.conf_state.auto_leave:
            assert not status.conf_state.voters_outgoing
        for node_id in {*status.conf_state.voters, *status.conf_state.learners}:
            assert self.machines[node_id].applied == newest.applied
            assert self.machines[node_id].history == newest.history


@pytest.mark.parametrize("seed", range(40))
def test_nothing_unsafe_happens_and_the_cluster_heals(seed: int) -> None:
    world = World(seed)
    world.run(400, faulty=True)
    world.heal()


def test_the_checks_would_notice() -> None:
    """A checker that cannot fail is worth nothing."""
    world = World(0)
    world.run(60, faulty=False)
    for node_id in (1, 2):
        world.machines[node_id].raw.raft.role = Role.LEADER
        world.machines[node_id].raw.raft.term = 77
    with pytest.raises(AssertionError, match="two leaders"):
        world.check()
    with pytest.raises(AssertionError, match="index 2"):
        world.check_applied(world.machines[1], Entry(term=99, index=2, data=b"other"))
