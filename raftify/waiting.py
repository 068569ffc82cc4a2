"""Waiting for a node to get somewhere, and following it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Self, cast

from raftify.client.arguments import several, shown, text, whole
from raftify.client.changes import check_ids
from raftify.errors import ConfigError, NodeStopped
from raftify.node.metrics import Metrics
from raftify.node.raft_node import RaftNode


class Wait:
    """What to wait for, made by `Raft.wait(timeout)`. Each returns the metrics that fulfil it.

    Raises:
        ConfigError: what to wait for is no index, no id, no function.
        DeadlineExceeded: it did not happen within the `timeout` seconds of this one call.
        NodeStopped: the node ended first.

    Cancelling a call stops the waiting and nothing else.
    """

    def __init__(self, node: RaftNode, timeout: float) -> None:
        self._node = node
        self._timeout = timeout

    async def until(
        self, holds: Callable[[Metrics], bool], what: str = "what was waited for"
    ) -> Metrics:
        """Wait until `holds(metrics)` is true; `what` is for the message of the error.

        `holds` is called on the event loop at each change and must not wait.
        """
        if not callable(holds):
            raise ConfigError(f"a function of the metrics is wanted, not {holds!r:.60}")
        text("what", what)
        gauge = self._node.gauge
        seen = gauge.read()

        def look() -> bool:
            nonlocal seen
            seen = gauge.read()
            return holds(seen)

        await self._node.state.wait_until(look, timeout=self._timeout, what=what)
        return seen

    async def applied_index_at_least(self, index: int) -> Metrics:
        """The state machine of this node has applied entry `index`."""
        whole("index", index)
        return await self.until(lambda m: m.applied >= index, f"applying entry {shown(index)}")

    async def committed_at_least(self, index: int) -> Metrics:
        """This node knows that entry `index` is committed."""
        whole("index", index)
        return await self.until(
            lambda m: m.committed >= index, f"the commit of entry {shown(index)}"
        )

    async def log_at_least(self, index: int) -> Metrics:
        """The log of this node reaches entry `index`."""
        whole("index", index)
        return await self.until(
            lambda m: m.last_index >= index, f"a log up to entry {shown(index)}"
        )

    async def snapshot(self, index: int) -> Metrics:
        """The latest snapshot covers entry `index`."""
        whole("index", index)
        return await self.until(
            lambda m: m.snapshot >= index, f"a snapshot up to entry {shown(index)}"
        )

    async def purged(self, index: int) -> Metrics:
        """Entry `index` was discarded from the log."""
        whole("index", index)
        return await self.until(lambda m: m.purged >= index, f"the purge of entry {shown(index)}")

    async def leader(self, node_id: int = 0) -> Metrics:
        """This node takes `node_id` for the leader; 0: anybody."""
        whole("node_id", node_id)
        wanted = f"node {shown(node_id)} to lead" if node_id else "a leader"
        return await self.until(
            lambda m: m.leader_id == node_id if node_id else m.leader_id != 0,
            f"waiting for {wanted}",
        )

    async def members(
        self, voters: Iterable[int], learners: Iterable[int] | None = None
    ) -> Metrics:
        """Just these are the voters, in no joint configuration, and, if given, the learners."""
        wanted = _ids("voters", voters)
        wanted_learners = None if learners is None else _ids("learners", learners)

        def holds(metrics: Metrics) -> bool:
            conf = metrics.membership.conf_state
            return (
                not conf.voters_outgoing
                and sorted(conf.voters) == wanted
                and wanted_learners in (None, sorted(conf.learners))
            )

        named = f"voters {wanted}"
        if wanted_learners is not None:
            named += f" and learners {wanted_learners}"
        return await self.until(holds, f"a membership of {named}")


def _ids(name: str, ids: object) -> list[int]:
    wanted = cast("list[int]", several(name, ids))
    check_ids(wanted)
    return sorted(wanted)


class Watch:
    """Iterates over a node's metrics; see `Raft.watch`."""

    def __init__(self, node: RaftNode, interval: float) -> None:
        self._node = node
        self._interval = interval
        self._last: Metrics | None = None
        self._last_time = 0.0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Metrics:
        state, loop = self._node.state, asyncio.get_running_loop()
        if self._last is not None:
            if self._last.has_ended:
                raise StopAsyncIteration
            with suppress(NodeStopped):  # what it says then is the last word
                await state.wait_for(lambda: self._node.gauge.read() != self._last)
            if not state.has_ended():
                await asyncio.sleep(max(self._last_time + self._interval - loop.time(), 0))
        self._last, self._last_time = self._node.gauge.read(), loop.time()
        return self._last
