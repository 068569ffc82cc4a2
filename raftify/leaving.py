"""How a member leaves for good: it hands its office over, is removed, and stops."""

from __future__ import annotations

import asyncio

from raftify.client.arguments import flag, seconds
from raftify.core.types import ConfChangeSingle, ConfChangeType, ConfChangeV2
from raftify.errors import NodeStopped, OutcomeUnknown, PendingConfChange
from raftify.node.handing_over import hand_over
from raftify.node.raft_node import RaftNode


async def leave(node: RaftNode, *, timeout: float | None, force: bool) -> None:
    """See `Raft.leave`."""
    flag("force", force)
    timeout = seconds(timeout, node.config.conf_change_request_timeout)
    deadline = asyncio.get_running_loop().time() + timeout
    node.leaving = True
    try:
        await _be_removed(node, deadline, force=force)
    except BaseException:
        node.leaving = False
        raise
    await node.quit(handover=False)


async def _be_removed(node: RaftNode, deadline: float, *, force: bool) -> None:
    loop = asyncio.get_running_loop()
    single = ConfChangeSingle(ConfChangeType.REMOVE_NODE, node.state.node_id)
    change = ConfChangeV2(changes=(single,))
    while True:
        try:
            # A leader that removes itself is gone before the others are sure to know; of two voters
            # the one that is left could then not be elected (etcd#10563).
            left = max(deadline - loop.time(), 0)
            await hand_over(node.state, node.api, node.config, timeout=left)
            await node.leader.call(
                lambda leader, left: leader.change_config(change, timeout=left, force=force),
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
