"""How nodes that wait become a cluster: one of them is told the members, and founds it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from raftify.core.types import Snapshot
from raftify.errors import ConfChangeRejected, ConfigError, JoinRejected
from raftify.node.founding import check_founder, static_origin
from raftify.node.local_state import LocalState, RunningState
from raftify.peers import Membership, Peers
from raftify.storage.log_state import FOUNDING_INDEX, initial_log


async def initialize(
    state: LocalState,
    peers: Peers,
    found: Callable[[Snapshot, float], Awaitable[None]],
    *,
    timeout: float,
) -> Membership:
    """See `NodeApi.initialize`. `found(snapshot, seconds)` makes that the beginning of the log."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    _check_members(state, peers)
    origin = static_origin(state.identity.cluster_id, peers)
    await state.wait_until(
        lambda: state.running is RunningState.RUNNING,
        timeout=timeout,
        what="the start of `run`, in a task of its own,",
    )
    if not _is_founded(state, peers, origin):
        first = initial_log(Membership.of(peers, index=FOUNDING_INDEX, origin=origin)).snapshot
        try:
            await found(first, max(deadline - loop.time(), 0))
        except ConfChangeRejected:
            # Between the look and the call a leader, or another caller, may have done the same.
            if not _is_founded(state, peers, origin):
                raise
    await state.wait_until(
        lambda: state.membership.is_member(state.node_id) and state.applied >= FOUNDING_INDEX,
        timeout=max(deadline - loop.time(), 0),
        what="making the first membership durable",
    )
    return state.membership


def _check_members(state: LocalState, peers: Peers) -> None:
    """Raise ConfigError if they make no cluster, or this node is no voter of it."""
    if not peers:
        raise ConfigError("nobody is named in members: a cluster needs a voter")
    check_founder(state.node_id, state.address, peers, "members")
    if state.node_id not in Membership.of(peers, index=FOUNDING_INDEX).conf_state.voters:
        raise ConfigError(
            f"node {state.node_id} is to be a learner, and only a voter can found a cluster: "
            "initialize one of the voters"
        )


def _is_founded(state: LocalState, peers: Peers, origin: str) -> bool:
    """Say whether this node is of just that cluster, or is about to be.

    Raises:
        ConfChangeRejected: it is a member of another.
        JoinRejected: it has asked another to take it.
    """
    membership = state.membership
    if state.origin == origin:
        return True
    if not membership.peers:
        if state.origin:
            raise JoinRejected(
                f"node {state.node_id} has asked a cluster to take it, by a ticket; it founds none"
            )
        return False
    if {i: p.address for i, p in membership.peers.items()} == {
        i: p.address for i, p in peers.items()
    }:
        return True
    raise ConfChangeRejected(
        f"node {state.node_id} is a member of {sorted(membership.peers)} already, and only a node "
        "without a cluster can be initialized: use change_membership"
    )
