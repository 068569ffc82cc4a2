"""What programs outside of the cluster ask of it, and tools; answers are judged where they say
something that is known."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from random import Random
from typing import Any

from raftify.client.service_client import RaftServiceClient
from raftify.core.types import Message, MessageType
from raftify.errors import ConfChangeRejected, ConfigError, OutcomeUnknown, RaftifyError
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.simulation.observer import NodeView, Observer
from raftify.testing.storm.scene import NotPossible, Scene

_SECONDS = 3.0
#: After so many seconds a request that nobody knows the outcome of is not under way any more.
_UNDER_WAY = 15.0
#: Of so many messages one is kept to come again later, and so many are kept at most.
_KEPT_OF, _KEPT = 40, 50
#: Come with a file, or would be something new: these do not come again.
_UNREPEATABLE = (MessageType.SNAPSHOT, MessageType.PROPOSE)


class Mailbag(Observer):
    """Keeps some of the messages that were sent."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque(maxlen=_KEPT)
        self._count = 0

    def on_send(self, node: NodeView, message: Message) -> None:
        self._count += 1
        if self._count % _KEPT_OF == 0 and message.msg_type not in _UNREPEATABLE:
            self.messages.append(message)


def _client(scene: Scene, *nodes: SimulatedNode) -> RaftServiceClient:
    return scene.cluster.client(*(node.address for node in nodes), timeout=_SECONDS)


def _new_write(scene: Scene, random: Random, who: str) -> tuple[Any, bytes, Any]:
    """Return what to write, its bytes, and the call that takes note of its end."""
    number = scene.number()
    asked = scene.workload.draw_write(random, number)
    call = scene.recorder.call(f"{who} {number}", asked)
    scene.writes.append((number, call))
    return asked, scene.workload.encode(asked, number), call


async def forgotten_write(scene: Scene, random: Random) -> None:
    """Propose, and do not wait. What came of it is noted when it comes, if it ever does."""
    node = scene.some_node(random)
    if node.process is None or node.facade is None or node.paused:
        raise NotPossible(f"{node} takes nothing")
    asked, data, call = _new_write(scene, random, "nowait")

    def note(written: asyncio.Future[bytes]) -> None:
        if written.cancelled():
            return
        error = written.exception()
        if error is None:
            call.ok(scene.workload.decode(asked, written.result()))
        elif isinstance(error, scene.recorder.nothing_happened):
            call.failed()

    written = node.process.run(node.facade.propose_nowait, data)
    if random.random() < 0.8:
        node.process.run(written.add_done_callback, note)


async def burst_from_outside(scene: Scene, random: Random) -> None:
    """Propose many at once through a client."""
    writes = [_new_write(scene, random, "outside") for _ in range(random.choice([2, 5]))]
    async with _client(scene) as client:
        try:
            async with asyncio.timeout(random.choice([0.05, *[10.0] * 9])):
                results = await client.propose_many([data for _, data, _ in writes])
        except (RaftifyError, TimeoutError) as error:
            raise NotPossible("it was not answered") from error
    for (asked, _, call), result in zip(writes, results, strict=True):
        if isinstance(result, bytes):
            call.ok(scene.workload.decode(asked, result))
        elif isinstance(result, scene.recorder.nothing_happened):
            call.failed()


async def questions_from_outside(scene: Scene, random: Random) -> None:
    """Ask a node what anybody may ask it."""
    node = scene.some_node(random)
    committed = max(other.runtime.state.committed for other in scene.running())
    node_id = node.id
    async with _client(scene, node) as client:
        index = await client.read_index()
        if index < committed and not scene.plan.reads_may_be_stale:
            scene.fail(f"{index} was confirmed, but {committed} was committed before the question")
    async with _client(scene, node) as client:
        view = await client.get_peers()
        if view.cluster_id != scene.cluster.config.cluster_id:
            scene.fail(f"{view} is not of this cluster")
        told, inner = await client.metrics(), await client.debug_node()
        if {told["node_id"], inner["node_id"]} - {node_id, node.id}:
            scene.fail(f"{node} says that it is {told['node_id']} and {inner['node_id']}")
        kind = type(node.machine)
        kind.decode(await client.read_state())
        await client.create_snapshot()


async def transfer_from_outside(scene: Scene, random: Random) -> None:
    """Hand leadership over through a client."""
    async with _client(scene) as client:
        to = random.choice([None, *scene.cluster.nodes])
        leads = await client.transfer_leader(to)
        if not leads or to not in (None, leads):
            scene.fail(f"leadership was to go to {to or 'the best'}, and went to {leads}")


async def founded_again(scene: Scene, random: Random) -> None:
    """Somebody founds a cluster of other members by a node that has one: it must refuse."""
    founded = [node for node in scene.running() if _is_founded_for_good(scene, node)]
    if not founded:
        raise NotPossible("nobody has a cluster for good")
    node = random.choice(founded)
    stranger = {1 << 40: f"{node.name}:9"}
    async with _client(scene, node) as client:
        try:
            membership = await client.initialize({node.id: node.address} | stranger)
        except ConfChangeRejected:
            scene.looks["founding refused"] += 1
            return
        scene.fail(f"{node}, which has a cluster, founded another: {membership}")


def _is_founded_for_good(scene: Scene, node: SimulatedNode) -> bool:
    """Say whether `node` has a cluster that it would know of after a crash, too."""
    machine, membership = scene.machine(node), node.runtime.state.membership
    is_spared = not machine.lost and not machine.held
    return is_spared and bool(membership.peers) and node.view.disk.last_index > 0


async def misdirected(scene: Scene, random: Random) -> None:
    """Somebody tells the cluster a wrong address of a member: it is called where nobody listens,
    or where another member does, until it says itself where it is."""
    if not scene.everybody_can_be_found():
        raise NotPossible("another one is lost")
    nodes = list(scene.cluster.nodes.values())
    victim, other = random.choice(nodes), random.choice(nodes)
    if not victim.runtime.state.membership.is_member(victim.id):
        # It waits to be called, knows nobody, and cannot say where it is.
        raise NotPossible(f"{victim} is no member")
    wrong = random.choice([f"{victim.name}:9", f"{other.name}:9", other.address, victim.address])
    scene.misplaced_until = math.inf
    async with _client(scene) as client:
        try:
            await client.set_peers({victim.id: wrong})
        except OutcomeUnknown:
            scene.misplaced_until = scene.now + _UNDER_WAY
            raise
        except RaftifyError:
            scene.misplaced_until = scene.now
            raise
        scene.misplaced_until = scene.now
        try:
            await client.set_peers({1 << 40: f"{victim.name}:9"})
        except ConfigError:
            return
        scene.fail("the address of a node that was never there was taken")


async def old_message(scene: Scene, random: Random) -> None:
    """A message of some time ago comes again, as an RPC of its own or handed over by a tool."""
    if not scene.mail:
        raise NotPossible("there are no old messages")
    message = random.choice(scene.mail)
    nodes = [scene.cluster.nodes.get(node_id) for node_id in (message.from_, message.to)]
    if None in nodes or any(scene.machine(n).lost or scene.machine(n).held for n in nodes if n):
        # It speaks of a disk that is not there any more.
        raise NotPossible("one of them is gone")
    node = nodes[1]
    assert node is not None
    if random.random() < 0.5:
        await node.raft.send_message(message, timeout=_SECONDS)
    else:
        async with _client(scene, node) as client:
            await client.send_message(message)


OUTSIDE = (
    forgotten_write, burst_from_outside, questions_from_outside, transfer_from_outside,
    founded_again, misdirected, old_message, old_message,
)  # fmt: skip
