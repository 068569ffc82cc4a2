"""How a node becomes a member: it asks for an id, starts under it, and asks to be added."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from raftify.client import create_client
from raftify.client.arguments import seconds
from raftify.config import Config
from raftify.core.types import ConfChangeSingle, ConfChangeType, ConfChangeV2
from raftify.errors import ConfigError, JoinRejected, OutcomeUnknown, PendingConfChange
from raftify.node.local_state import LocalState, RunningState
from raftify.node.raft_node import RaftNode
from raftify.peers import Address, ClusterJoinTicket, Peer
from raftify.records import encode_peers


async def request_id(
    raft_addr: str, peer_addr: str, *, identity: str, timeout: float | None, config: Config
) -> ClusterJoinTicket:
    """See `Raft.request_id`."""
    Address.parse(raft_addr)
    if not isinstance(config, Config):
        raise ConfigError(f"config is {type(config).__name__}, no Config")
    timeout = seconds(timeout, config.conf_change_request_timeout)
    async with create_client(peer_addr, timeout=timeout, config=config) as client:
        return await client.request_id(raft_addr, identity)


async def join(
    node: RaftNode, tickets: Sequence[ClusterJoinTicket], *, timeout: float | None
) -> None:
    """See `Raft.join_cluster`."""
    loop = asyncio.get_running_loop()
    timeout = seconds(timeout, node.config.conf_change_request_timeout)
    deadline = loop.time() + timeout
    state = node.state
    own = own_ticket(state, tickets)
    await state.wait_until(
        lambda: state.running is RunningState.RUNNING,
        timeout=timeout,
        what="the start of `run`, in a task of its own,",
    )
    state.ticket_origin = own.origin
    node.whereabouts.meet(own.peers)
    await _ask_to_add(node, tickets, own, deadline)
    await state.wait_until(
        lambda: state.membership.is_member(state.node_id),
        timeout=max(deadline - loop.time(), 0),
        what="receiving the membership",
    )


def own_ticket(state: LocalState, tickets: Sequence[ClusterJoinTicket]) -> ClusterJoinTicket:
    """Return the ticket of this node.

    Raises:
        JoinRejected: there is none, or one is for another cluster or address.
        ConfigError: what was given are no tickets.
    """
    if not isinstance(tickets, Sequence) or not all(
        isinstance(ticket, ClusterJoinTicket) for ticket in tickets
    ):
        raise ConfigError(
            f"join_cluster takes a list of tickets from Raft.request_id, not {tickets!r:.60}"
        )
    own = [ticket for ticket in tickets if ticket.reserved_id == state.node_id]
    if not own:
        raise JoinRejected(
            f"none of the tickets is for this node, {state.node_id}: use the ticket whose "
            "reserved_id it was bootstrapped with"
        )
    for ticket in tickets:
        if ticket.cluster_id != state.identity.cluster_id:
            raise JoinRejected(
                f"the ticket is for cluster {ticket.cluster_id!r}, but this node's "
                f"Config.cluster_id is {state.identity.cluster_id!r}"
            )
    if own[0].raft_addr != state.address:
        raise JoinRejected(
            f"the ticket is for {own[0].raft_addr}, but this node listens on {state.address}"
        )
    return own[0]


async def _ask_to_add(
    node: RaftNode, tickets: Sequence[ClusterJoinTicket], own: ClusterJoinTicket, deadline: float
) -> None:
    loop, identity = asyncio.get_running_loop(), node.state.identity
    peers = [
        Peer(
            ticket.reserved_id,
            ticket.raft_addr,
            identity.incarnation if ticket.reserved_id == identity.node_id else "",
        )
        for ticket in tickets
    ]
    changes = (ConfChangeSingle(ConfChangeType.ADD_NODE, peer.node_id) for peer in peers)
    change = ConfChangeV2(changes=tuple(changes), context=encode_peers(peers))
    known = [own.leader_addr, *(peer.address for peer in own.peers.values())]
    addresses = list(dict.fromkeys(a for a in known if a and a != own.raft_addr))
    async with create_client(
        addresses,
        cluster_id=own.cluster_id,
        config=node.config,
        connect=node.connect,
        source=node.random,
    ) as client:
        while True:
            try:
                await client.change_config(change, timeout=max(deadline - loop.time(), 0.001))
            except (OutcomeUnknown, PendingConfChange):
                # Adding a member that is one already changes nothing, so asking again is safe.
                if loop.time() >= deadline:
                    raise
                await asyncio.sleep(node.config.tick_interval)
            else:
                return
