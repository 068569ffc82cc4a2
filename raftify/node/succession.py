"""How leadership moves on purpose: to a voter that was named, or to whoever is best placed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from raftify.config import Config
from raftify.core.raw_node import RawNode
from raftify.core.types import INVALID_ID
from raftify.errors import RaftifyError, TransferRejected
from raftify.node.core_calls import CoreCalls
from raftify.node.local_state import LocalState


class Succession:
    """Hands a leader's office to another voter, and sees that it was taken.

    `is_silent(node_id)` says, at a leader, whether a member was not heard of for a while.
    """

    def __init__(
        self,
        *,
        state: LocalState,
        raw: RawNode,
        calls: CoreCalls,
        is_silent: Callable[[int], bool],
        config: Config,
    ) -> None:
        self._state = state
        self._raw = raw
        self._calls = calls
        self._is_silent = is_silent
        #: A transfer is given up by the core after one election timeout; then somebody is elected.
        self._patience = 2 * config.raft_config.election_tick * config.tick_interval
        self._keeps_office_for = config.conf_change_request_timeout
        self._keeps_office_until = 0.0

    async def transfer(self, to: int, *, timeout: float) -> int:
        """Hand leadership to the voter `to`, or with 0 to the one that has most of the log; return
        its id once it leads.

        Raises:
            TransferRejected: it is no voter, or did not take over within one election timeout; or
                nobody is there to choose.
        """
        if to == self._state.node_id and self._state.is_leader:
            return to
        return await self._transfer(lambda: to or self._best(self._voters_there()), timeout)

    async def hand_over(
        self, *, timeout: float | None = None, among: set[int] | None = None
    ) -> None:
        """Let the voter lead that has most of the log, of those in `among`, if this node leads and
        one is there: nobody has to wait for an election once this node is gone.

        Tries once, for at most `timeout` seconds and no longer than the core does. It raises
        nothing, whatever became of it.
        """
        if not self._state.is_leader:
            return
        limit = self._patience if timeout is None else min(self._patience, timeout)
        with suppress(RaftifyError):
            await self._transfer(lambda: self._best(self._voters_there(among)), limit)

    async def hand_over_once(self, *, timeout: float, among: set[int]) -> None:
        """The same, but who gets the office back soon keeps it: several that leave at the same time
        would pass it around among themselves for ever."""
        now = asyncio.get_running_loop().time()
        if self._state.is_leader and now >= self._keeps_office_until:
            await self.hand_over(timeout=timeout, among=among)
            self._keeps_office_until = now + self._keeps_office_for

    async def hand_over_before_end(self) -> None:
        """The same for a node that stays a member: only if the others can commit without it.

        A leader without a quorum would take proposals, and then not know what became of them.
        """
        voters = self._state.membership.conf_state.voters
        if self._state.is_leader and len(self._voters_there()) > len(voters) // 2:
            await self.hand_over()

    def _voters_there(self, among: set[int] | None = None) -> dict[int, int]:
        """Return, at a leader, up to where the log of each other voter that is there matches."""
        voters, own = self._state.membership.conf_state.voters, self._state.node_id
        return {
            i: progress.matched
            for i, progress in self._raw.status().progress.items()
            if i in voters and i != own and (among is None or i in among)
            if not self._is_silent(i)
        }  # fmt: skip

    @staticmethod
    def _best(matched: dict[int, int]) -> int:
        if not matched:
            raise TransferRejected(
                "no other voter was heard of within an election timeout, so nobody can take over: "
                "bring one back, or add one, first"
            )
        return max(matched, key=lambda node_id: (matched[node_id], -node_id))

    async def _transfer(self, choose: Callable[[], int], timeout: float) -> int:
        state, core = self._state, self._raw.raft

        def transfer(future: asyncio.Future[int], _deadline: float) -> None:
            to = choose()
            if to not in state.membership.conf_state.voters:
                raise TransferRejected(f"node {to} is no voter, so it cannot lead")
            self._raw.transfer_leader(to)
            future.set_result(to)

        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        to = await self._calls.ask(transfer, timeout)
        await state.wait_until(
            lambda: state.leader_id == to or not core.lead_transferee,
            timeout=max(deadline - loop.time(), 0),
            what=f"the transfer to node {to}",
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
        return to
