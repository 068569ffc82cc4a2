"""A client that looks for leaders who were deposed and do not know it."""

from __future__ import annotations

from raftify.testing.storm.callers import Caller


class Witness(Caller):
    """Writes at the newest leader, and then reads at every node that believes to lead.

    A leader that was cut off must not answer with what is old (thesis 6.4). Other clients hardly
    ever see that: their writes there wait until the leader gives up.
    """

    async def one(self) -> None:
        scene, random = self.scene, self.random
        leader = scene.a_leader()
        if leader is not None and random.random() < 0.6:
            await self.write(leader, 0.5)
        asked = scene.workload.draw_read(random)
        if asked is None:
            return
        for node in scene.running():
            if not node.paused and node.raft.is_leader():
                await self.read(node, asked, 0.3)
