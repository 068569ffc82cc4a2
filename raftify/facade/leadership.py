"""Leadership: who has it, and how it moves."""

from __future__ import annotations

from raftify.client.arguments import seconds
from raftify.core.types import INVALID_ID
from raftify.errors import ConfigError
from raftify.leading import LeaderCallback, LeaderWork
from raftify.node.raft_node import RaftNode
from raftify.peers import check_node_id


class Leadership:
    """Who leads, and how to change it."""

    _node: RaftNode

    def is_leader(self) -> bool:
        """Say whether this node believes to lead. Not a linearizable check: see `read_index`."""
        return self._node.state.is_leader

    def get_id(self) -> int:
        """Return this node's id."""
        return self._node.state.node_id

    def get_leader_id(self) -> int:
        """Return the leader's id as this node knows it; 0 while it knows of none."""
        return self._node.state.leader_id

    async def wait_for_leader(self, *, timeout: float | None = None) -> int:
        """Return the leader's id once one is known.

        Raises:
            DeadlineExceeded: none was within `timeout` seconds.
        """
        state, seen = self._node.state, INVALID_ID
        timeout = seconds(timeout, self._node.config.proposal_timeout)

        def look() -> bool:
            # It may be unknown again by the time the waiting task runs.
            nonlocal seen
            seen = state.leader_id
            return seen != INVALID_ID

        await state.wait_until(look, timeout=timeout, what="an election")
        return seen

    async def transfer_leader(
        self, node_id: int | None = None, *, timeout: float | None = None
    ) -> int:
        """Hand leadership to the voter `node_id`; return its id once it leads.

        Thesis, section 3.10. If this call is cancelled the transfer may happen all the same.

        Args:
            node_id: who shall lead; None: of the other voters that are there, the one that has
                most of the log.
            timeout: seconds; None: `Config.conf_change_request_timeout`.

        Raises:
            ConfigError: `node_id` is no id.
            TransferRejected: it is no voter, or did not take over within an election timeout; or
                no other voter is there.
            NoLeader: nobody leads who could hand it over.
        """
        node = self._node
        if node_id is not None:
            check_node_id(node_id)
        return await node.leader.call(
            lambda leader, left: leader.transfer_leader(node_id or INVALID_ID, timeout=left),
            timeout=seconds(timeout, node.config.conf_change_request_timeout),
            what="the transfer of leadership",
        )

    def on_leader_change(
        self, start: LeaderCallback, stop: LeaderCallback | None = None
    ) -> LeaderWork:
        """Do something on the leader only: timers, schedulers, whatever must run once.

            async def hand_out_jobs(term: int) -> None:
                while True:
                    await raft.propose(next_job(), term=term)

            work = raft.on_leader_change(hand_out_jobs)

        `start(term)` is called when this node leads in `term`, a quorum has confirmed it, and its
        state machine holds everything committed before. If it is a coroutine it runs as a task,
        which is cancelled when this node leads no more; `stop(term)` is called after that. Calls
        never overlap. What they raise is logged; the node goes on.

        A leader learns late that it was deposed: another may lead already while its work still
        runs. Proposals with `term=term` are fenced against that: Raft takes them from one leader
        of one term or not at all. Whatever acts on the outside world needs a fence there.

        Must be called on the node's event loop. `close()` of what it returns ends it, and so does
        the end of the node.
        """
        for callback in (start, *([stop] if stop is not None else [])):
            if not callable(callback):
                raise ConfigError(f"a function of the term is wanted, not {callback!r:.60}")
        self._node.state.check_loop()
        return LeaderWork(self._node, start, stop)

    async def demote(self, *, timeout: float | None = None) -> None:
        """Give up leadership without naming a successor; nothing happens on a follower.

        The others elect one after an election timeout, this node included. To hand the office over
        without a pause use `transfer_leader`.

        Raises:
            DeadlineExceeded: the node did not come to it within `timeout` seconds; it may yet.
            NodeStopped: the node is not running.
        """
        node = self._node
        await node.api.demote(timeout=seconds(timeout, node.config.request_timeout))

    async def campaign(self, *, timeout: float | None = None) -> None:
        """Stand for election now, without waiting for the election timeout.

        Returns when the campaign has begun; the votes decide. On a leader nothing happens, nor on
        a node that is no voter.

        Raises:
            DeadlineExceeded: the node did not come to it within `timeout` seconds; it may yet.
            NodeStopped: the node is not running.
        """
        node = self._node
        await node.api.campaign(timeout=seconds(timeout, node.config.request_timeout))
