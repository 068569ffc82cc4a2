"""How a member leaves for good: it hands its office over, is removed, and stops."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from raftify.client.arguments import seconds
from raftify.core.types import ConfChangeSingle, ConfChangeType, ConfChangeV2
from raftify.errors import NodeStopped, OutcomeUnknown, PendingConfChange, RaftifyError
from raftify.node.raft_node import RaftNode


async def leave(node: RaftNode, *, timeout: float | None) -> None:
    """See `Raft.leave`."""
    timeout = seconds(timeout, node.config.conf_change_request_timeout)
    deadline = asyncio.get_running_loop().time() + timeout
    node.leaving = True
    try:
        await _be_removed(node, deadline)
    except BaseException:
        node.leaving = False
        raise
    await node.quit()


async def _be_removed(node: RaftNode, deadline: float) -> None:
    loop = asyncio.get_running_loop()
    single = ConfChangeSingle(ConfChangeType.REMOVE_NODE, node.state.node_id)
    change = ConfChangeV2(changes=(single,))
    while True:
        try:
            await _hand_over(node, deadline)
            await node.leader.call(
                lambda leader, left: leader.change_config(change, timeout=left),
                timeout=max(deadline - loop.time(), 0),
                what=f"the removal of node {node.state.node_id}",
            )
        except (OutcomeUnknown, PendingConfChange):
            # Removing what is no member any more changes nothing, so asking again is safe.
            if loop.time() >= deadline:
                raise
            await asyncio.sleep(node.config.tick_interval)
        except NodeStopped:
            # Another member was quicker to say that it happened than the call that asked for it.
            if not node.was_refused_while_leaving:
                raise
            return
        else:
            return


async def _hand_over(node: RaftNode, deadline: float) -> None:
    """Let another voter lead, if this node does and one can.

    A leader that removes itself is gone before the others are sure to know; of two voters the one
    that is left could then not be elected (etcd#10563). Nor does anyone have to wait for an
    election.
    """
    state, loop = node.state, asyncio.get_running_loop()
    if not state.is_leader:
        return
    matched = node.api.matched_voters()
    if matched:
        best = max(matched, key=lambda node_id: matched[node_id])
        # The core gives a transfer up after one election timeout.
        patience = 2 * node.config.raft_config.election_tick * node.config.tick_interval
        left = max(deadline - loop.time(), 0)
        with suppress(RaftifyError):
            await node.api.transfer_leader(best, timeout=min(left, patience))
