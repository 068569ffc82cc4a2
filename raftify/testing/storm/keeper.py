"""Starts what is down again, and judges why it ended: as an operator's supervisor would."""

from __future__ import annotations

import asyncio

from raftify.errors import (
    IncarnationMismatch,
    InvariantViolation,
    NodeRemoved,
    RaftifyError,
    StorageDamaged,
    StorageError,
)
from raftify.testing.storm.scene import Machine, Scene, name_of

#: How often it looks, and how long it waits after an error, in seconds.
_LOOK_EVERY, _AFTER_ERROR = 0.25, 1.0


class Keeper:
    """Looks after every machine that no fault has in hand, until it is cancelled."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._seen: set[tuple[str, int]] = set()

    async def run(self) -> None:
        """Start whoever is down."""
        while True:
            for machine in self.scene.all_machines():
                self.look_after(machine)
            await asyncio.sleep(_LOOK_EVERY)

    def look_after(self, machine: Machine) -> None:
        """Start the machine if it is down and may be started."""
        scene, node = self.scene, machine.node
        if node.running or machine.held or machine.lost:
            return
        if node.failure is not None and (node.name, node.incarnation) not in self._seen:
            self._seen.add((node.name, node.incarnation))
            scene.ends[name_of(node.failure)] += 1
            if not self._judge(machine, node.failure):
                return
            machine.down_until = max(machine.down_until, scene.now + _AFTER_ERROR)
        if scene.now < machine.down_until:
            return
        scene.fresh_config(node, scene.random)
        address = None
        may_move = scene.knows_the_others(node) and scene.everybody_can_be_found()
        if scene.random.random() < 0.05 and may_move:
            address = f"{node.name}:{scene.random.randint(7001, 7999)}"
        try:
            node.start(address=address)
        except RaftifyError as error:
            # Kept as `failure` of this incarnation, and judged at the next look.
            scene.outcomes[f"start: {name_of(error)}"] += 1
            return
        if address is not None:
            scene.reach("moved to another address")

    def _judge(self, machine: Machine, error: BaseException) -> bool:
        """Say whether the node may be started again; what must not end a node ends the storm."""
        scene, node = self.scene, machine.node
        if isinstance(error, NodeRemoved | IncarnationMismatch) and machine.removing:
            scene.cluster.nodes.pop(node.id, None)
            return False
        damaged = isinstance(error, StorageDamaged)
        if isinstance(error, StorageError) and not damaged and machine.disk_excused:
            return True
        scene.fail(
            f"{node} ended by itself: {error!r}"
            + (" (a broken invariant)" if isinstance(error, InvariantViolation) else ""),
            error,
        )
        return False
