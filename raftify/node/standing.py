"""What a node does about its own place in the cluster: it was removed, or it has moved."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from collections.abc import Set as AbstractSet
from typing import Final

from raftify.config import Config
from raftify.core.raft_core import RaftCore
from raftify.core.types import INVALID_ID, INVALID_INDEX, Message, MessageType
from raftify.errors import RaftifyError
from raftify.node.background import Background
from raftify.node.config_changes import was_removed
from raftify.node.leader_calls import LeaderCalls
from raftify.node.local_state import LocalState
from raftify.peers import ClusterView, Peer
from raftify.transport.interface import Transport

#: Looks without a leader, an election timeout each, after which the others are asked for it.
_LOOKS_ALONE: Final = 3
#: That of a word that says nothing but who calls from where.
_OLDEST_TERM: Final = 1


class Standing:
    """Looks once in an election timeout whether the membership has this node, and has it right.

    A node that knows of its own removal does not stop by itself: the others may not know that it
    is committed, and need its vote to find out (etcd#10563). It knocks at their doors instead; who
    knows refuses it with NodeRemoved, and that ends it.
    """

    def __init__(
        self,
        *,
        state: LocalState,
        transport: Transport,
        leader: LeaderCalls,
        heard: Callable[[int, str], None],
        is_forgotten: Callable[[], bool],
        config: Config,
        background: Background,
        logger: logging.Logger,
    ) -> None:
        self._state = state
        self._transport = transport
        self._leader = leader
        self._heard = heard
        self._is_forgotten = is_forgotten
        self._every_ticks = config.raft_config.election_tick
        self._timeout = config.conf_change_request_timeout
        self._request_timeout = config.request_timeout
        self._background = background
        self._logger = logger
        self._ticks = 0
        self._knocked = False
        self._to_call = False
        #: Looks in a row without a leader.
        self._alone_for = 0
        self._announcing: asyncio.Task[None] | None = None

    def on_tick(self) -> None:
        """Look, if it is time."""
        self._ticks += 1
        if self._to_call:
            self._to_call = False
            self.call_everybody()
        is_look = self._ticks % self._every_ticks == 0
        state = self._state
        own = state.membership.peers.get(state.node_id)
        if own is not None and not own.incarnation and (is_look or self._ticks == 1):
            self._greet()
        if not is_look:
            return
        if own is None:
            if was_removed(state.node_id, state.membership):
                self._knock()
        elif own.address != state.address and self._announcing is None:
            self._begin(self._announce(own.address), "tell where it is")
        forgotten = self._is_forgotten()
        if own is not None and forgotten:
            # Who campaigns is heard. A learner says nothing by itself; it may have been removed
            # while it was away, or be called at an address where it is no more.
            self.call_everybody()
        self._alone_for = self._alone_for + 1 if forgotten or not state.leader_id else 0
        if own is not None and self._alone_for >= _LOOKS_ALONE and self._announcing is None:
            # Whoever leads may have joined while this node was away, and call it where it is not.
            self._alone_for = 0
            self._begin(self._find_the_leader(), "find the leader")

    def _greet(self) -> None:
        """Let every member meet this node: the log does not say which store is its own, so that
        they could not tell if it came back with an empty one.

        Followers call each other in elections only, and one of them may be all that is left when
        another one's disk has lost what the leader had counted. It is done again and again: who is
        out of reach, or does not know the membership yet, writes nobody down.
        """
        self._send_word(self._state.membership.peers.keys() - {self._state.node_id})

    def _begin(self, work: Coroutine[None, None, None], what: str) -> None:
        self._announcing = asyncio.create_task(work)
        self._background.keep(self._announcing, what)

    async def close(self) -> None:
        """End what is under way."""
        if self._announcing is not None:
            self._announcing.cancel()
            await asyncio.wait([self._announcing])

    def _knock(self) -> None:
        if not self._knocked:
            self._knocked = True
            self._logger.warning(
                "node %d was removed from the cluster; it stops once another member confirms it",
                self._state.node_id,
            )
        self.call_everybody()

    def call_everybody_soon(self) -> None:
        """The same with the next tick. Whoever is refused and asks at once is refused at once."""
        self._to_call = True

    def call_everybody(self, *others: int) -> None:
        """Send every member a word, and `others` that are known, to hear whether it refuses this
        node; who does not, hears where this node is."""
        self._send_word({*self._state.membership.peers, *others})

    def _send_word(self, members: AbstractSet[int]) -> None:
        # It says nothing that a member could not say, and is of the oldest term: the own may be
        # ahead, and would unseat a leader that works and cannot reach this node; and a voter that
        # hears no leader must not prove to one that it has a quorum.
        self._transport.send(
            [
                Message(
                    MessageType.HEARTBEAT_RESPONSE,
                    to=node_id,
                    from_=self._state.node_id,
                    term=_OLDEST_TERM,
                    commit=INVALID_INDEX,
                )
                for node_id in members
            ]
        )

    async def _ask_for_the_leader(self) -> None:
        """Ask the other members who leads, and where, and call there: it may have moved or joined
        while this node was away, and call this one where it is not. It hears then where it is."""
        peers, own = self._state.membership.peers, self._state.node_id
        await asyncio.gather(*(self._ask(peer) for peer in peers.values() if peer.node_id != own))

    async def _ask(self, peer: Peer) -> None:
        remote = self._transport.connect(peer.address, to_id=peer.node_id)
        try:
            view = await remote.get_peers(timeout=self._request_timeout)
        except RaftifyError:
            return
        finally:
            await remote.close()
        address = self._address_of_the_leader(view)
        if view.leader_id not in (INVALID_ID, self._state.node_id) and address:
            self._heard(view.leader_id, address)
            # It may have joined since: then it is no member as far as this node knows.
            self.call_everybody(view.leader_id)

    def _address_of_the_leader(self, view: ClusterView) -> str:
        """Return where it is by the newer membership: who was asked may lag behind this node."""
        own = self._state.membership
        known_here = own.address_of(view.leader_id) if view.membership.index < own.index else ""
        return known_here or view.leader_address

    async def _find_the_leader(self) -> None:
        try:
            await self._ask_for_the_leader()
        finally:
            self._announcing = None

    async def _announce(self, before: str) -> None:
        """Have the leader put this node's present address into the membership."""
        state = self._state
        peer = Peer(state.node_id, state.address)
        try:
            if not state.leader_id:
                await self._ask_for_the_leader()
            await self._leader.call(
                lambda leader, left: leader.set_peers([peer], timeout=left),
                timeout=self._timeout,
                what="the announcement of a new address",
            )
            self._logger.info("node %d moved from %s to %s", state.node_id, before, state.address)
        except RaftifyError as error:
            self._logger.warning(
                "node %d is at %s now, and could not tell the cluster: %s",
                state.node_id, state.address, error,
            )  # fmt: skip
        finally:
            self._announcing = None


def is_forgotten(core: RaftCore) -> bool:
    """Say whether a node cannot campaign, and has heard of no leader for a long time."""
    return not core.promotable and core.election_elapsed >= core.election_timeout
