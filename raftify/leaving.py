"""How a member leaves for good: it is removed, hears it from those that stay, and stops."""

from __future__ import annotations

import asyncio

from raftify.client.arguments import flag, seconds
from raftify.core.types import ConfChangeSingle, ConfChangeType, ConfChangeV2
from raftify.errors import (
    DeadlineExceeded,
    NodeStopped,
    NoLeader,
    OutcomeUnknown,
    PendingConfChange,
)
from raftify.node.config_changes import was_removed
from raftify.node.raft_node import RaftNode


async def leave(node: RaftNode, *, timeout: float | None, force: bool) -> None:
    """See `Raft.leave`."""
    flag("force", force)
    timeout = seconds(timeout, node.config.conf_change_request_timeout)
    deadline = asyncio.get_running_loop().time() + timeout
    node.leaving += 1
    try:
        await _be_removed(node, deadline, force=force)
    except BaseException:
        node.leaving -= 1
        raise
    # From here on it is a node that was removed because it wanted to, however this call ends.
    if not force:
        await _be_told(node, deadline)
    await node.quit(handover=False)


async def _be_removed(node: RaftNode, deadline: float, *, force: bool) -> None:
    loop = asyncio.get_running_loop()
    single = ConfChangeSingle(ConfChangeType.REMOVE_NODE, node.state.node_id)
    change = ConfChangeV2(changes=(single,))
    while True:
        try:
            await node.leader.call(
                lambda leader, left: leader.change_config(change, timeout=left, force=force),
                timeout=max(deadline - loop.time(), 0),
                what=f"the removal of node {node.state.node_id}",
            )
        except (OutcomeUnknown, PendingConfChange, NoLeader):
            if was_removed(node.state.node_id, node.state.membership):
                # Whoever leads then may not be known here any more.
                return
            # Removing what is no member any more changes nothing, so asking again is safe.
            if loop.time() >= deadline:
                raise
            await asyncio.sleep(node.config.tick_interval)
        except NodeStopped:
            # Other members were quicker to say that it happened than the call that asked for it.
            if not node.state.told_of_removal:
                raise
            return
        else:
            return


async def _be_told(node: RaftNode, deadline: float) -> None:
    """Wait until more than half of the voters that stay know on disk that the node was removed.

    Until then they may need its vote: whoever answered the call may be lost, or be this very node
    (etcd#10563).
    """
    loop = asyncio.get_running_loop()
    while not await node.knock(for_seconds=min(node.config.tick_interval, deadline - loop.time())):
        if loop.time() >= deadline:
            raise DeadlineExceeded(
                f"node {node.state.node_id} was removed from the cluster, but not enough of the "
                "voters that stay have confirmed it yet, and they may still need its vote: let it "
                "run, it stops by itself once they have; or leave with force=True"
            )
