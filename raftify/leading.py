"""Work that only the leader does: it begins when this node comes to lead, and ends with that."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress

from raftify.errors import NodeStopped, RaftifyError
from raftify.node.endings import uninterrupted
from raftify.node.raft_node import RaftNode

#: Called with the term in which this node leads. A coroutine runs as a task of its own.
LeaderCallback = Callable[[int], Awaitable[object] | None]


class LeaderWork:
    """Calls `start` and `stop` as leadership comes and goes; see `Raft.on_leader_change`."""

    def __init__(
        self,
        node: RaftNode,
        start: LeaderCallback,
        stop: LeaderCallback | None,
    ) -> None:
        self._node = node
        self._start = start
        self._stop = stop
        #: The term that `start` was called for last.
        self._begun_in = 0
        self._task = asyncio.get_running_loop().create_task(
            self._follow(), name=f"raftify-{node.state.node_id}-leader-work"
        )
        node.background.keep(self._task, "follow its leadership")

    async def close(self) -> None:
        """Follow no more. If this node leads, `start` is cancelled and `stop` called first."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _follow(self) -> None:
        state = self._node.state
        with suppress(NodeStopped):
            while True:
                await state.wait_for(lambda: state.is_leader)
                term = state.term
                if await self._is_confirmed(term):
                    await self._lead(term)
                else:
                    await asyncio.sleep(self._node.config.tick_interval)

    async def _is_confirmed(self, term: int) -> bool:
        """Return whether a quorum takes this node for the leader of `term`.

        The state machine then holds everything that was committed in earlier terms.
        """
        node, timeout = self._node, self._node.config.proposal_timeout
        try:
            index = await node.api.read_index(timeout=timeout)
            await node.state.wait_until(
                lambda: node.state.applied >= index, timeout=timeout, what="catching up"
            )
        except NodeStopped:
            raise
        except RaftifyError:
            return False
        return self._leads(term)

    def _leads(self, term: int) -> bool:
        return self._node.state.is_leader and self._node.state.term == term

    async def _lead(self, term: int) -> None:
        working = asyncio.create_task(self._begin(term), name=f"raftify-leader-of-term-{term}")
        try:
            await self._node.state.wait_for(lambda: not self._leads(term))
        finally:
            # The end of the node, or `close`, may come while this is under way already.
            await uninterrupted(self._wind_up(working, term))

    async def _begin(self, term: int) -> None:
        # A task begins a little later, and the core may have had a turn since then.
        if self._leads(term):
            self._begun_in = term
            await self._call(self._start, term)

    async def _wind_up(self, working: asyncio.Task[None], term: int) -> None:
        working.cancel()
        await asyncio.wait([working])
        if self._stop is not None and self._begun_in == term:
            await self._call(self._stop, term)

    async def _call(self, callback: LeaderCallback, term: int) -> None:
        try:
            result = callback(term)
            if inspect.isawaitable(result):
                await result
        except Exception:
            # It is the user's: the node goes on, and the next term brings another chance.
            self._node.logger.exception(
                "what node %d does as the leader of term %d failed", self._node.state.node_id, term
            )
