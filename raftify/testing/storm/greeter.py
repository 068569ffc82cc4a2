"""A client that asks leaders who have just been elected, and may not know everything yet."""

from __future__ import annotations

from raftify.testing.storm.callers import Caller
from raftify.testing.storm.scene import Scene, patient

#: How often it looks who believes to lead, in seconds.
_LOOK_EVERY = 0.05
#: How many questions it asks of each leader.
_QUESTIONS = 3


class Greeter(Caller):
    """Queries each new leader at once, from outside of the cluster.

    Its state may be older than what others acknowledged before it was elected: it has to commit in
    its term and to catch up first (thesis 6.4). Other clients seldom ask right behind an election.
    """

    def __init__(self, scene: Scene, name: str) -> None:
        super().__init__(scene, name)
        #: The term of the newest leader that it asked.
        self._term = 0

    async def run(self) -> None:
        """Ask whoever is elected until the storm is over."""
        scene = self.scene
        while not scene.over:
            leader = scene.a_leader()
            if leader is not None and leader.runtime.state.term > self._term:
                self._term = leader.runtime.state.term
                await self.one()
            await patient(scene, _LOOK_EVERY)
        await self.close()

    async def one(self) -> None:
        for _ in range(_QUESTIONS):
            await self._query_remotely()
