"""Handing leadership to another voter, and seeing that it took it."""

from __future__ import annotations

import asyncio

from raftify.core.raw_node import RawNode
from raftify.core.types import INVALID_ID
from raftify.errors import TransferRejected
from raftify.node.core_calls import CoreCalls
from raftify.node.local_state import LocalState


async def transfer_leader(
    state: LocalState, raw: RawNode, calls: CoreCalls, to: int, *, timeout: float
) -> None:
    """Hand leadership to the voter `to`; returns once it leads.

    Raises:
        TransferRejected: it is no voter, or did not take over within one election timeout.
    """
    if to == state.node_id and state.is_leader:
        return

    def transfer(future: asyncio.Future[None], _deadline: float) -> None:
        if to not in state.membership.conf_state.voters:
            raise TransferRejected(f"node {to} is no voter, so it cannot lead")
        raw.transfer_leader(to)
        future.set_result(None)

    def decided() -> bool:
        return state.leader_id == to or not raw.raft.lead_transferee

    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    await calls.ask(transfer, timeout)
    await state.wait_until(
        decided, timeout=max(deadline - loop.time(), 0), what=f"the transfer to node {to}"
    )
    if state.leader_id == state.node_id:
        raise TransferRejected(
            f"node {to} did not take over within one election timeout; is it up, and has it "
            "caught up?"
        )
    await state.wait_until(
        lambda: state.leader_id != INVALID_ID,
        timeout=max(deadline - loop.time(), 0),
        what="the election after it",
    )
    if state.leader_id != to:
        raise TransferRejected(f"node {state.leader_id} was elected instead of node {to}")
