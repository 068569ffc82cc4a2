"""Disks that are lost: how they are, and how their machines come back as other nodes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace as changed
from random import Random

from raftify.core.types import Role
from raftify.errors import (
    ConfChangeRejected,
    IncarnationMismatch,
    InvariantViolation,
    NodeRemoved,
    PeerRefused,
    RaftifyError,
    StorageError,
)
from raftify.peers import InitialRole, Peers
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.scene import Machine, NotPossible, Scene, name_of, patient

#: How long a disk that can be spared is looked for, in seconds.
_LOOK = 5.0
#: How long an empty disk runs under its old id, and then until it has heard that it may not.
_OLD_ID_SECONDS, _UNTIL_TOLD = 3.0, 10.0


async def find_spare(scene: Scene, random: Random) -> SimulatedNode:
    """Return a node whose disk may be lost; wait a little until that is certain of one.

    Raises:
        NotPossible: it does not become certain.
        RaftifyError: the leader cannot say.
    """
    until = scene.now + _LOOK
    while True:
        node = await _who_can_be_spared(scene, random)
        if node is not None:
            return node
        if scene.over or scene.now >= until:
            raise NotPossible("no disk can be spared for certain")
        await patient(scene, 0.5)


async def _who_can_be_spared(scene: Scene, random: Random) -> SimulatedNode | None:
    """Return a node whose disk may be lost; None if that is not certain.

    Certain is what a leader says of the membership once no older request can change it.
    """
    if scene.now < scene.unsettled_until:
        return None
    leader = scene.a_leader()
    if leader is None:
        return None
    await leader.raft.read_index(timeout=_LOOK)
    core = leader.view.raft
    # It has committed an entry of its term: what is not in its log now will never be.
    if core is None or core.role is not Role.LEADER or core.has_pending_conf():
        return None
    conf_state = leader.runtime.state.membership.conf_state
    if len(conf_state.voters) < 3 or conf_state.voters_outgoing:
        return None
    ids = [i for i in (*conf_state.voters, *conf_state.learners) if i in scene.cluster.nodes]
    nodes = [scene.cluster.nodes[i] for i in ids]
    # Of these an empty disk may come back under its old id, see `damage`.
    known = [node for node in nodes if _is_known_to_all(scene, node)]
    nodes = known if known and random.random() < 0.7 else nodes
    return random.choice(nodes) if nodes else None


async def damage(scene: Scene, node: SimulatedNode, random: Random) -> None:
    """Let the disk of `node` be wiped, torn or changed. The node comes back as another one."""
    machine = scene.machine(node)
    kind = random.choice(["wipe", "wipe", "wipe", "tear", "flip bit"])
    scene.count(f"disk: {kind}")
    machine.held = True
    scene.invariants.forget(node.id)
    if kind == "wipe":
        met, may_return = _who_met(scene, node), _is_known_to_all(scene, node)
        node.wipe()
        if may_return and random.random() < 0.75:
            await come_back_under_the_old_id(scene, node, met, random)
        return
    if kind == "tear":
        node.storage.tear()
        node.crash()
    else:
        node.storage.flip_bit()
        if random.random() < 0.5:
            await asyncio.sleep(random.uniform(0, 3))
        node.crash()
    await _look_at_damage(scene, node)


async def _look_at_damage(scene: Scene, node: SimulatedNode) -> None:
    """Start on a damaged disk: it must not go unnoticed, or else have done no harm at all."""
    try:
        node.start()
    except RaftifyError as error:
        scene.ends[f"damaged disk: {name_of(error)}"] += 1
    else:
        # What is damaged may be read later, or never: an old snapshot, an entry about to go.
        scene.ends["damaged disk: started"] += 1
        await asyncio.sleep(2)
        if node.failure is not None:
            scene.ends[f"damaged disk: {name_of(node.failure)}"] += 1
            if not isinstance(node.failure, StorageError | PeerRefused):
                scene.fail(f"{node} with a damaged disk ended badly", node.failure)
    node.wipe()


async def come_back_under_the_old_id(
    scene: Scene, node: SimulatedNode, met: set[tuple[str, int]], random: Random
) -> None:
    """Start an empty disk under the id of the node that it had been: it must be refused."""
    today = _members_of_today(scene, node)
    if today is None:
        return
    config = scene.cluster.config_of(node)
    # With the peers of before it is of the same origin again; with the members of today others may
    # take it for a stranger; with none it waits to be called, as under an id that was handed out.
    how = {"with the members of today": today, "to be called": None}
    if _is_founder(scene, node):
        how["with the peers of before"] = scene.cluster.founders
    told = random.choice(list(how))
    peers = how[told]
    scene.count("disk: empty, under the old id")
    scene.count(f"disk: empty, started {told}")
    node.config = changed(config, initial_peers=peers)
    try:
        node.start(None if peers else node.id)
    except RaftifyError as error:
        scene.ends[f"empty disk: {name_of(error)}"] += 1
        return
    finally:
        node.config = None
    reached = await _all_reach(scene, node, met, scene.now + _OLD_ID_SECONDS, is_last=False)
    _demand_not_heard(scene, node, met)
    reached &= await _all_reach(scene, node, met, scene.now + _UNTIL_TOLD, is_last=True)
    if node.running:
        # The members of today may be taken for another cluster's, and some founders may be gone.
        if reached and peers is not today and set(peers or ()) <= set(scene.cluster.nodes):
            scene.fail(f"{node} with an empty disk was not told so, and all others could tell it")
        node.crash()
    elif not isinstance(node.failure, IncarnationMismatch | NodeRemoved | None) and not (
        # The leader's word may be there before the refusal: it has lost what it acknowledged.
        isinstance(node.failure, InvariantViolation) and "wiped" in str(node.failure)
    ):
        scene.fail(f"{node} with an empty disk was not refused", node.failure)
    scene.ends[f"empty disk: {name_of(node.failure) if node.failure else 'no word'}"] += 1
    node.wipe()


async def _all_reach(
    scene: Scene, node: SimulatedNode, met: set[tuple[str, int]], until: float, *, is_last: bool
) -> bool:
    """Wait until then; return whether one led and all others, each of which had met `node`, reached
    it and each other all the time. The last wait ends with `node`, or with the storm."""
    reached = True
    while scene.now < until and (node.running or not is_last):
        if scene.over and is_last:
            return False
        reached &= _is_calm(scene, node, met)
        await asyncio.sleep(min(0.1, until - scene.now))
    return reached


def _is_calm(scene: Scene, node: SimulatedNode, met: set[tuple[str, int]]) -> bool:
    nodes = list(scene.cluster.nodes.values())
    others = [other for other in nodes if other is not node]
    link = scene.cluster.network.link
    return (
        scene.a_leader() is not None
        and scene.slow_until <= scene.now
        and all((other.name, other.incarnation) in met and other.running for other in others)
        and all(scene.machine(each).odd_until < scene.now for each in nodes)
        and not any(link(one.name, two.name).cut for one in nodes for two in nodes if one != two)
    )


def _who_met(scene: Scene, node: SimulatedNode) -> set[tuple[str, int]]:
    """Return the processes that took messages of `node`, and so know its disk."""
    return {
        (other.name, other.incarnation)
        for other in scene.running()
        if other is not node and other.silence_of(node.id) is not None
    }


def _is_known_to_all(scene: Scene, node: SimulatedNode) -> bool:
    """Say whether every other node would tell an empty disk under the id of `node` from its own.

    Who never met it, and was not told either which disk it has, cannot.
    """
    incarnation = node.runtime.state.identity.incarnation
    others = [other for other in scene.cluster.nodes.values() if other is not node]
    return all(_disk_known_to(other, node.id) == incarnation for other in others)


def _disk_known_to(other: SimulatedNode, node_id: int) -> str:
    """Return which disk `other` takes for that of `node_id`, also after a crash; "" if any."""
    peer = other.view.disk.membership.peers.get(node_id)
    known = peer.incarnation if peer is not None else ""
    if other.running:
        with suppress(StorageError):
            known = known or other.runtime.storage.known_incarnations().get(node_id, "")
    return known


def _demand_not_heard(scene: Scene, node: SimulatedNode, met: set[tuple[str, int]]) -> None:
    """Demand that nobody who had met `node` takes its messages now that its disk is another.

    Unless what it sent before may be under way still.
    """
    if scene.slow_until > scene.now:
        return
    for other in scene.running():
        is_right = scene.machine(other).odd_until < scene.now - _OLD_ID_SECONDS
        silence = other.silence_of(node.id)
        if (other.name, other.incarnation) not in met or not is_right or silence is None:
            continue
        if silence < _OLD_ID_SECONDS / 2:
            scene.fail(f"{other} takes messages of {node}, whose disk was emptied")


def _is_founder(scene: Scene, node: SimulatedNode) -> bool:
    """Say whether `node` was told where it is with the others that founded the cluster, and needs
    the vote of one of them: who may found it alone does, and nobody hears of it."""
    founders = scene.cluster.founders
    own = founders.get(node.id)
    voters = [each for each in founders.values() if each.initial_role is not InitialRole.LEARNER]
    return own is not None and own.address == node.address and len(voters) > 1


def _members_of_today(scene: Scene, node: SimulatedNode) -> Peers | None:
    """Return the members by the newest membership that runs, if `node` is one and all others have
    a log and the cluster's origin: who waits still may vote for any founder, and is right."""
    known = [other.runtime.state.membership for other in scene.running()]
    newest = max(known, key=lambda each: each.index, default=None)
    if newest is None or node.id not in newest.peers:
        return None
    others = [scene.cluster.nodes.get(i) for i in newest.member_ids() if i != node.id]
    disks = [None if other is None else other.view.disk for other in others]
    if not all(disk and disk.last_index and disk.membership.origin for disk in disks):
        return None
    roles = dict.fromkeys(newest.conf_state.learners, InitialRole.LEARNER)
    return Peers.agreed(
        changed(peer, initial_role=roles.get(i, InitialRole.VOTER))
        for i, peer in newest.peers.items()
    )


async def replace(scene: Scene, machine: Machine, through: SimulatedNode, seconds: float) -> None:
    """Remove the id of a lost disk, and let its machine join as another node."""
    node = machine.node
    if through.runtime.state.membership.is_member(node.id):
        try:
            await through.raft.change_config(remove=[node.id], timeout=seconds)
        except ConfChangeRejected:
            if through.runtime.state.membership.conf_state.voters_outgoing:
                await through.raft.leave_joint(timeout=seconds)
            raise
    if node.running:
        # It tried before, and nobody knows how far it came.
        node.wipe()
        scene.invariants.forget(node.id)
    old = node.id
    await scene.cluster.rejoin(node, through)
    machine.lost = machine.held = machine.removing = False
    scene.reach("machine with a new disk joined under a new id")
    scene.cluster.note(f"machine {node.name} came back: {old} is now {node.id}")
