"""How a leader that is about to go lets another lead: nobody has to wait for an election then."""

from __future__ import annotations

from contextlib import suppress

from raftify.config import Config
from raftify.errors import RaftifyError
from raftify.node.local_api import LocalApi
from raftify.node.local_state import LocalState


async def hand_over(
    state: LocalState, api: LocalApi, config: Config, *, timeout: float | None = None
) -> None:
    """Let the voter lead that has most of the log, if this node leads and one is there.

    Tries once, for at most `timeout` seconds and no longer than the core does: one election
    timeout. Returns whether it led to anything or not.
    """
    if not state.is_leader:
        return
    matched = api.matched_voters()
    if not matched:
        return
    best = max(matched, key=lambda node_id: (matched[node_id], -node_id))
    patience = 2 * config.raft_config.election_tick * config.tick_interval
    with suppress(RaftifyError):
        await api.transfer_leader(
            best, timeout=min(patience, patience if timeout is None else timeout)
        )


async def hand_over_before_end(state: LocalState, api: LocalApi, config: Config) -> None:
    """The same for a node that stays a member: only if the others can commit without it.

    A leader without a quorum would take proposals, and then not know what became of them.
    """
    voters = state.membership.conf_state.voters
    if state.is_leader and len(api.matched_voters()) > len(voters) // 2:
        await hand_over(state, api, config)
