"""The log: proposals, and reads that see them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from raftify.client.arguments import flag, payload, payloads, seconds, shown
from raftify.errors import ConfigError, RaftifyError
from raftify.node.raft_node import RaftNode
from raftify.state_machine import AbstractLogEntry


class Log:
    """Proposals and linearizable reads."""

    _node: RaftNode

    async def propose(
        self,
        data: bytes | AbstractLogEntry,
        *,
        timeout: float | None = None,
        term: int | None = None,
    ) -> bytes:
        """Replicate one entry; return what the state machine's `apply` returned for it.

        On a follower it goes to the leader. Without a leader it waits for one.

        Args:
            term: propose only as the leader of this term, and never through another node: for work
                that began because this node leads (see `on_leader_change`). A leader that was
                deposed meanwhile gets NotLeader.

        Raises:
            ConfigError: an argument is none: `data` has no bytes, `timeout` or `term` is no number.
            NotLeader: a `term` is given, and this node does not lead in it; it was not appended.
            NoLeader: no leader took it within `timeout` seconds; it was not appended.
            ProposalTooLarge, Overloaded: it was not appended.
            LeadershipLost, DeadlineExceeded: it may take effect later, or never.
            NodeStopped: the node ended first.
        """
        wanted, node = payload(data), self._node
        timeout = seconds(timeout, node.config.proposal_timeout)
        if term is not None:
            node.state.check_loop()
            return await node.api.propose(wanted, timeout=timeout, term=_checked_term(term))
        return await node.leader.call(
            lambda leader, left: leader.propose(wanted, timeout=left),
            timeout=timeout,
            what="the proposal",
        )

    async def propose_many(
        self, data: Sequence[bytes | AbstractLogEntry], *, timeout: float | None = None
    ) -> list[bytes | RaftifyError]:
        """Replicate many entries with one wait; return for each its result, or the error of its own
        (see `propose`), in the order of `data`.

        They are appended in this order, unless some are refused at first, as when the leader
        changes meanwhile: those follow behind. Cancelling it stops the waiting; what was proposed
        may still take effect.

        Raises:
            ConfigError: one of them is no bytes; none was proposed.
        """
        wanted = payloads(data)
        timeout = seconds(timeout, self._node.config.proposal_timeout)
        return await self._node.leader.propose_many(wanted, timeout=timeout)

    def propose_nowait(
        self, data: bytes | AbstractLogEntry, *, timeout: float | None = None
    ) -> asyncio.Future[bytes]:
        """Replicate one entry without waiting. The future may be awaited, or forgotten.

        It brings what `propose` would. Nobody complains if its error is never looked at.
        """
        wanted = payload(data)
        timeout = seconds(timeout, self._node.config.proposal_timeout)
        work = asyncio.get_running_loop().create_task(self.propose(wanted, timeout=timeout))
        self._node.background.keep(work)
        return work

    async def query(
        self, data: bytes, *, stale: bool = False, timeout: float | None = None
    ) -> bytes:
        """Ask this node's state machine; return what its `query` answers.

        The answer holds everything that was acknowledged before the call (a linearizable read,
        thesis 6.4), on every node. With `stale` it comes at once from what this node holds, which
        may be old.

        Raises:
            ConfigError: `data` is no bytes.
            QueryFailed: the state machine has no `query`, or it raised; the node goes on.
            NoLeader, DeadlineExceeded: not within `timeout` seconds.
        """
        node, loop = self._node, asyncio.get_running_loop()
        question = payload(data, "a query")
        timeout = seconds(timeout, node.config.proposal_timeout)
        deadline = loop.time() + timeout
        node.state.check_loop()
        if not flag("stale", stale):
            await self.read_index(timeout=timeout)
        return await node.api.query(question, timeout=max(deadline - loop.time(), 0), stale=True)

    async def wait_for_recovery(self, *, timeout: float | None = None) -> int:
        """Return once a restarted node may serve: its state is that of the cluster again.

        A node begins from its latest snapshot and applies the log behind it; until it has, its
        state machine shows the past. This waits, for `Config.snapshot_timeout` unless told
        otherwise, until it holds everything that the cluster had committed before the call, and
        returns the index of that.

        Raises:
            NoLeader, DeadlineExceeded: not within `timeout` seconds.
        """
        return await self.read_index(timeout=seconds(timeout, self._node.config.snapshot_timeout))

    async def read_index(self, *, timeout: float | None = None) -> int:
        """Return once the local state machine holds everything acknowledged before the call.

        A read of the state machine after it is linearizable (thesis 6.4), on every node. Returns
        the index that was waited for.

        Raises:
            NoLeader, DeadlineExceeded: not within `timeout` seconds.
        """
        node, loop = self._node, asyncio.get_running_loop()
        timeout = seconds(timeout, node.config.proposal_timeout)
        deadline = loop.time() + timeout
        index = await node.leader.call(
            lambda leader, left: leader.read_index(timeout=left),
            timeout=timeout,
            what="the read",
            repeatable=True,
        )
        await node.state.wait_until(
            lambda: node.state.applied >= index,
            timeout=max(deadline - loop.time(), 0),
            what=f"applying up to index {index}",
        )
        return index


def _checked_term(term: object) -> int:
    if isinstance(term, bool) or not isinstance(term, int) or term < 1:
        raise ConfigError(
            f"term is that in which this node leads, from 1 upwards, not {shown(term)}"
        )
    return term
