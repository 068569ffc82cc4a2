"""What a SimulatedCluster offers: members, crashes at any point, stalls, observers, a drawing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from raftify.config import Config
from raftify.core.ready import Ready
from raftify.core.ready_queue import ReadyQueue
from raftify.core.types import Entry, Message, MessageType, Role
from raftify.errors import OutcomeUnknown, RaftifyError, StateMachineError
from raftify.testing.invariants import Invariants
from raftify.testing.simulation import (
    InvariantViolation,
    NodeView,
    Observer,
    SimulatedCluster,
    Trace,
    draw,
    simulate,
)
from raftify.testing.simulation.trace import Ended, Restored, Started
from tests.cluster.machines import PlainTally, Tally


class Counting(Observer):
    """Counts each call that an observer gets."""

    def __init__(self) -> None:
        self.starts: list[tuple[int, int]] = []
        self.ends: list[tuple[int, str]] = []
        self.applied: dict[int, int] = {}
        self.restored: list[int] = []
        self.steps = 0
        self.sent = 0

    def on_start(self, node: NodeView) -> None:
        assert node.running
        assert node.raft is not None
        self.starts.append((node.id, node.incarnation))

    def on_end(self, node: NodeView, how: str) -> None:
        assert not node.running
        assert node.raft is None
        self.ends.append((node.id, how))

    def on_step(self, node: NodeView) -> None:
        assert node.raft is not None
        assert node.disk.last_index >= node.disk.snapshot_index
        self.steps += 1

    def on_send(self, node: NodeView, message: Message) -> None:
        assert message.from_ == node.id
        self.sent += 1

    def on_apply(self, node: NodeView, entries: Sequence[Entry], results: Sequence[bytes]) -> None:
        assert len(entries) == len(results)
        assert node.applied == entries[-1].index
        self.applied[node.id] = node.applied

    def on_restore(self, node: NodeView, index: int) -> None:
        self.restored.append(index)


def test_a_whole_life_with_every_call_to_the_observers() -> None:
    counting = Counting()

    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        first, second, third = await cluster.start(3)
        leader = await cluster.leader()
        for number in range(30):
            assert await leader.raft.propose(f"e{number}".encode()) == f"e{number}:1".encode()
        leader.crash()
        await (await cluster.leader()).raft.propose(b"after")
        leader.start()
        await cluster.converge()
        joined = await cluster.join()
        await cluster.converge()
        await joined.leave()
        for node in (first, second, third):
            assert node.machine.order == [*(f"e{number}" for number in range(30)), "after"]
            await node.stop()

    config = Config(snapshot_entries=10, snapshot_keep_entries=2)
    simulate(scenario, machine=Tally, seed=1, config=config, observers=[counting, Invariants()])
    assert [start for start in counting.starts if start[0] <= 3 and start[1] == 1] == [
        (1, 1), (2, 1), (3, 1),
    ]  # fmt: skip
    assert sorted(how for _, how in counting.ends) == ["crash", "stop", "stop", "stop", "stop"]
    assert set(counting.applied.values()) != {0}
    assert counting.restored
    assert counting.steps > 100
    assert counting.sent > 100


def test_a_cluster_is_founded_by_initialize_with_a_learner() -> None:
    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        nodes = await cluster.initialize(2, learners=1)
        assert [node.id for node in nodes] == [1, 2, 3]
        conf = (await cluster.leader()).runtime.state.membership.conf_state
        assert (conf.voters, conf.learners) == ((1, 2), (3,))
        await (await cluster.leader()).raft.propose(b"x")
        await cluster.converge()
        assert all(node.machine.order == ["x"] for node in nodes)

    simulate(scenario, machine=Tally, seed=1, observers=[Invariants()])


def test_nodes_that_wait_have_no_cluster_until_one_of_them_is_told() -> None:
    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        peers = cluster.place(3)
        for node_id in peers:
            cluster.nodes[node_id].start(node_id)
        await asyncio.sleep(30)
        assert all(not node.runtime.state.term for node in cluster.nodes.values())
        await cluster.nodes[2].raft.initialize(peers)
        cluster.nodes[2].crash()
        cluster.nodes[2].start()
        await cluster.leader()
        await cluster.converge()

    simulate(scenario, machine=Tally, seed=2, observers=[Invariants()])


@pytest.mark.parametrize("first", [1, 2, 3])
def test_a_static_cluster_begins_with_the_leader_and_the_learners_it_was_told(first: int) -> None:
    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(3, learners=2, first_leader=first)
        leader = await cluster.leader()
        assert leader.id == first
        assert cluster.now < cluster.config.tick_interval
        conf = leader.runtime.state.membership.conf_state
        assert (conf.voters, conf.learners) == ((1, 2, 3), (4, 5))
        await cluster.converge()

    simulate(scenario, machine=Tally, seed=3, observers=[Invariants()])


def test_the_scenario_hears_what_broke_with_the_seed_to_repeat_it() -> None:
    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(1)
        await asyncio.sleep(10)
        raise ValueError("found something")

    with pytest.raises(ValueError, match="found something") as caught:
        simulate(scenario, machine=Tally, seed=77)
    assert caught.value.__notes__[0].startswith("seed 77, at 1")


def test_every_message_that_a_core_takes_in_is_shown_by_itself() -> None:
    """A turn of a node takes many, and what one of them did the next may undo."""

    class Messages(Observer):
        def __init__(self) -> None:
            self.kinds: list[str] = []
            self.before: tuple[int, Role, int] | None = None
            self.changed = 0

        def on_receive(self, node: NodeView, message: Message) -> None:
            assert self.before is None, "the message before was not followed by a step"
            assert message.to == node.id
            self.before = state_of(node)
            self.kinds.append(message.msg_type.name)

        def on_step(self, node: NodeView) -> None:
            if self.before is not None:
                self.changed += state_of(node) != self.before
            self.before = None

    def state_of(node: NodeView) -> tuple[int, Role, int]:
        core = node.raft
        assert core is not None
        return core.term, core.role, core.raft_log.last_index()

    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(3)
        leader = await cluster.leader()
        for _ in range(3):
            await leader.raft.propose(b"x")
        await cluster.converge()

    messages = Messages()
    simulate(scenario, machine=PlainTally, seed=1, observers=[messages, Invariants()])
    assert {"REQUEST_VOTE", "REQUEST_VOTE_RESPONSE", "APPEND", "APPEND_RESPONSE"} <= set(
        messages.kinds
    )
    # A follower's log with each entry, a follower's term, and the leader's role.
    assert messages.changed >= 2 * 4 + 1


def test_a_violation_ends_the_simulation_wherever_it_is_found() -> None:
    """The runtime takes what is raised below it for an error of its own; an observer's is not."""

    class Strict(Observer):
        def on_apply(
            self, node: NodeView, entries: Sequence[Entry], results: Sequence[bytes]
        ) -> None:
            if any(entry.data == b"bad" for entry in entries):
                raise InvariantViolation("Strict", "nowhere", f"node {node.id} applied it")

    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(3)
        leader = await cluster.leader()
        await leader.raft.propose(b"good")
        await leader.raft.propose(b"bad")
        raise AssertionError("it went on")

    with pytest.raises(InvariantViolation, match=r"Strict \(nowhere\): node \d applied it"):
        simulate(scenario, machine=PlainTally, seed=1, observers=[Strict()])


def test_a_state_machine_that_raises_ends_its_node_and_says_so() -> None:
    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(1)
        (node,) = cluster.nodes.values()
        with suppress(RaftifyError):
            await node.raft.propose(b"poison")
        await node.ended()
        assert isinstance(node.failure, StateMachineError)

    trace = Trace()
    simulate(scenario, machine=Tally, trace=trace)
    assert [e.how for e in trace.events() if isinstance(e, Ended)] == ["StateMachineError"]


def test_a_wiped_machine_is_refused_under_its_old_id_and_joins_under_a_new_one() -> None:
    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        nodes = await cluster.start(3)
        await (await cluster.leader()).raft.propose(b"x")
        wiped = next(node for node in nodes if not node.raft.is_leader())
        old_id = wiped.id
        wiped.wipe()
        wiped.start(old_id)
        await wiped.ended()
        # The others refuse it, or it finds by itself that it had promised more than it has.
        assert "wiped" in str(wiped.failure)
        await (await cluster.leader()).raft.change_config(remove=[old_id])
        wiped.storage.wipe()
        await cluster.rejoin(wiped)
        assert wiped.id not in (0, old_id)
        await cluster.converge()
        assert wiped.machine.order == ["x"]

    simulate(scenario, machine=Tally, seed=3)


def test_a_stalled_disk_costs_its_leader_the_office_and_a_pause_too() -> None:
    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(3)
        leader = await cluster.leader()
        leader.stall()
        call = asyncio.create_task(leader.raft.propose(b"x", timeout=30))
        await cluster.until(lambda: not leader.raft.is_leader(), timeout=30)
        leader.unstall()
        with pytest.raises(OutcomeUnknown):
            await call
        second = await cluster.leader()
        second.pause()
        third = await cluster.leader()
        assert third is not second
        second.resume()
        await cluster.converge()

    simulate(scenario, machine=Tally, seed=2)


def test_a_trace_can_be_read_and_drawn() -> None:
    trace = Trace()

    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(3)
        leader = await cluster.leader()
        await leader.raft.propose(b"x")
        leader.crash()
        cluster.network.cut("n1", "n2")
        await asyncio.sleep(2)

    simulate(scenario, machine=Tally, trace=trace)
    text = trace.text()
    assert text.count("\n") == len(trace.events()) == trace.count
    assert "is leader in term" in text
    assert "ends: crash" in text
    page = draw(trace.events(), "seed 0")
    assert page.count('class="lane"') == 3
    assert page.count('class="sent"') > 20
    assert page.count('class="dead"') == 1
    assert "seed 0" in page


def test_a_trace_keeps_as_many_events_as_it_was_told_and_the_digest_of_all() -> None:
    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(3)
        await asyncio.sleep(20)

    whole, part = Trace(), Trace(keep=10)
    simulate(scenario, machine=Tally, trace=whole)
    simulate(scenario, machine=Tally, trace=part)
    assert part.events() == whole.events()[-10:]
    assert part.digest() == whole.digest()
    assert not any(isinstance(event, Started | Restored) for event in part.events())


@pytest.mark.parametrize("size", [1, 3])
def test_each_read_is_shown_when_it_is_asked_and_when_it_is_answered(size: int) -> None:
    """Who judges answers needs both, and a sole voter's comes in the same turn."""

    class Reads(Observer):
        def __init__(self) -> None:
            self.asked: list[bytes] = []
            self.answered: dict[bytes, int] = {}

        def on_receive(self, node: NodeView, message: Message) -> None:
            if message.msg_type is MessageType.READ_INDEX:
                assert (message.from_, message.to) == (0, node.id)
                self.asked.append(message.entries[0].data)

        def on_step(self, node: NodeView) -> None:
            assert node.raft is not None
            for state in node.raft.read_states:
                assert state.request_ctx in self.asked
                self.answered[state.request_ctx] = state.index

    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(size)
        leader = await cluster.leader()
        for _ in range(2):
            await leader.raft.propose(b"x")
            told.append(await leader.raft.read_index())

    told: list[int] = []
    reads = Reads()
    simulate(scenario, machine=PlainTally, seed=1, observers=[reads, Invariants()])
    # Whoever waits for the leader asks as well.
    assert [reads.answered[context] for context in reads.asked][-2:] == told


@pytest.mark.parametrize("what", ["entries", "snapshot"])
def test_what_belongs_to_the_log_and_needs_no_sync_is_found(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store may delay what need not be synced; the one that is simulated does not."""
    whole = ReadyQueue.open

    def lazy(self: ReadyQueue) -> Ready:
        ready = whole(self)
        if ready.entries if what == "entries" else not ready.snapshot.is_empty():
            ready.must_sync = False
        return ready

    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(1)
        leader = await cluster.leader()
        await leader.raft.propose(b"x")
        await leader.raft.purge_log(await leader.raft.make_snapshot())
        await cluster.join()
        await cluster.converge(5)

    simulate(scenario, machine=PlainTally, seed=1)
    monkeypatch.setattr(ReadyQueue, "open", lazy)
    with pytest.raises(InvariantViolation, match="SyncsItsLog"):
        simulate(scenario, machine=PlainTally, seed=1)
