"""A client that looks for leaders who were deposed and do not know it."""

from __future__ import annotations

from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.callers import Caller
from raftify.testing.storm.scene import patient

#: How often it looks whether more than one node believes to lead, in seconds.
_LOOK_EVERY = 0.05
#: What it reads of each leader while there are several.
_READS = 3


class Witness(Caller):
    """Writes at the newest leader, and reads there and at every other that believes to lead.

    A leader that was cut off must not answer with what is old (thesis 6.4). Other clients hardly
    ever see that: their writes there wait until the leader gives up.
    """

    async def run(self) -> None:
        """Call now and then, and as soon as there are several leaders, until the storm is over."""
        scene, random = self.scene, self.random
        while not scene.over:
            until = scene.now + random.expovariate(scene.plan.pace)
            await patient(scene, _LOOK_EVERY)
            while not scene.over and scene.now < until and len(self._leaders()) < 2:
                await patient(scene, _LOOK_EVERY)
            if not scene.over:
                await self.one()
        await self.close()

    async def one(self) -> None:
        leaders = self._leaders()
        if not leaders:
            return
        several = len(leaders) > 1
        if several or self.random.random() < 0.6:
            await self.write(leaders[0], 0.5)
        for _ in range(_READS if several else 1):
            asked = self.scene.workload.draw_read(self.random)
            if asked is None:
                return
            for node in self._leaders():
                await self.read(node, asked, 0.3)

    def _leaders(self) -> list[SimulatedNode]:
        """Return who believes to lead, the newest first: what it has committed is seen before."""
        leaders = [node for node in self.scene.cluster.nodes.values() if node.leads]
        return sorted(leaders, key=lambda node: node.runtime.state.term, reverse=True)
