"""What comes after a storm, now and then: all machines are lost but for one snapshot, and a new
cluster begins with it (`Config.bootstrap_from_snapshot`)."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random

from raftify.errors import ConfigError, StorageError
from raftify.node.founding import prepare_store
from raftify.peers import Address
from raftify.testing.invariants import Invariants
from raftify.testing.simulation.cluster import SimulatedCluster
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.scene import Scene, StormFailed

_SECONDS = 10.0


async def refound(scene: Scene, members: list[SimulatedNode]) -> None:
    """Found a cluster with a snapshot of one of `members`, which are at rest, and let it work.

    Raises:
        StormFailed: it has not the state of the snapshot, or its nodes do not agree.
    """
    random = Random(f"{scene.plan.seed}/refounding")
    source = random.choice(members)
    index = await source.raft.make_snapshot(timeout=_SECONDS)
    state = scene.workload.state(source.machine)
    if source.runtime.state.applied != index:
        raise StormFailed(f"{source} is at rest, and its snapshot ends at {index}")
    scene.reach("founded anew with a snapshot")
    cluster = _new_cluster(scene)
    with tempfile.TemporaryDirectory(prefix="raftify-storm-") as directory:
        path = _save(source, Path(directory))
        if random.random() < 0.5:
            for node in members:
                node.crash()
        founder = cluster.new_machine(random.choice([1, int(source.id), 1000]))
        cluster.nodes[founder.id] = founder
        founder.config = replace(cluster.config, bootstrap_from_snapshot=path)
        died = random.random() < 0.7
        if died:
            _die_while_founding(cluster, founder, random)
        try:
            founder.start()
        except ConfigError:
            if not died:
                raise
            # It died when all was done; a log that is there is gone on with, without the setting.
            founder.config = None
            founder.start()
        await cluster.leader()
        _demand_refused(founder)
    founder.config = None
    founder.start()
    await cluster.leader()
    await founder.raft.wait_for_recovery(timeout=_SECONDS)
    if scene.workload.state(founder.machine) != state:
        raise StormFailed(f"{founder} began with a snapshot, and has not its state")
    await _work(scene, cluster, random)


def _new_cluster(scene: Scene) -> SimulatedCluster:
    """Return a cluster without nodes, on the network of the old one and of the same name."""
    old = scene.cluster
    return SimulatedCluster(
        old.loop,
        f"{scene.plan.seed}/anew",
        old.make_machine,
        config=old.config,
        observers=[Invariants()],
        trace=old.trace,
        beside=old,
    )


def _save(source: SimulatedNode, directory: Path) -> Path:
    storage = source.runtime.storage
    with storage.open_snapshot(storage.latest_snapshot()) as file:
        path = directory / "saved.snapshot"
        path.write_bytes(file.read())
    return path


def _die_while_founding(cluster: SimulatedCluster, founder: SimulatedNode, random: Random) -> None:
    """Lose power in the middle of the founding, or right behind it."""
    config, made = cluster.config_of(founder), random.randbytes(8).hex()
    store = founder.storage.open(config)
    founder.storage.crash_after(random.randint(0, 12))
    try:
        prepare_store(
            store,
            node_id=founder.id,
            address=Address.parse(founder.address),
            config=config,
            logger=cluster.logger,
            make_incarnation=lambda: made,
        )
    except StorageError:
        return
    founder.storage.crash()


def _demand_refused(founder: SimulatedNode) -> None:
    """Crash, and demand that a founder does not begin again with the snapshot, but goes on."""
    founder.crash()
    if founder.config is None:
        return
    try:
        founder.start()
    except ConfigError:
        return
    raise StormFailed(f"{founder} would have begun again with its snapshot")


async def _work(scene: Scene, cluster: SimulatedCluster, random: Random) -> None:
    """Let others join, write, and agree."""
    for _ in range(random.choice([1, 2])):
        await cluster.join()
    number = scene.number()
    data = scene.workload.encode(scene.workload.draw_write(random, number), number)
    while len(data) > scene.plan.proposal_bytes:
        number = scene.number()
        data = scene.workload.encode(scene.workload.draw_write(random, number), number)
    await random.choice(cluster.running()).raft.propose(data, timeout=_SECONDS)
    await cluster.converge()
    states = [scene.workload.state(node.machine) for node in cluster.running()]
    if any(state != states[0] for state in states):
        raise StormFailed("the nodes of a cluster that began with a snapshot differ")
    for node in cluster.running():
        await node.stop()
    if cluster.left_over:
        raise StormFailed("; ".join(cluster.left_over))
