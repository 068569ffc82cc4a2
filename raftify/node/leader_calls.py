"""Brings a request to whoever leads: this node itself, or the leader over the transport."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import TypeVar

from raftify.core.types import INVALID_ID
from raftify.errors import (
    DeadlineExceeded,
    LeaderTransferring,
    NodeStopped,
    NoLeader,
    NotLeader,
    OutcomeUnknown,
    PeerRefused,
    PeerUnreachable,
    RaftifyError,
)
from raftify.node.local_state import LocalState
from raftify.transport.interface import NodeApi, RemoteNode, Transport

T = TypeVar("T")

#: Stands where an answer will be; nobody outside sees it.
_NOT_YET = b""


class LeaderCalls:
    """Repeats a request until some leader took it, as long as it is certain that none did.

    What says "nothing happened" is repeated: NotLeader, LeaderTransferring, PeerUnreachable, and
    PeerRefused by another node than was looked for. What leaves the outcome open goes to the
    caller.
    """

    def __init__(
        self, *, local: NodeApi, state: LocalState, transport: Transport, retry_interval: float
    ) -> None:
        self._local = local
        self._state = state
        self._transport = transport
        self._retry_interval = retry_interval
        self._remotes: dict[tuple[int, str], RemoteNode] = {}

    async def call(
        self,
        do: Callable[[NodeApi, float], Awaitable[T]],
        *,
        timeout: float,
        what: str,
        repeatable: bool = False,
    ) -> T:
        """Return what `do(leader, seconds_left)` returned.

        `repeatable` says that doing it twice is the same as doing it once.

        Raises:
            NoLeader: no leader took the request within `timeout` seconds; nothing happened.
            OutcomeUnknown: the leader stopped meanwhile.
            NodeStopped: this node did.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        refusal: Exception | None = None
        await self._state.check_started()
        while True:
            target = await self._leader(deadline, what, refusal)
            try:
                return await do(target, deadline - loop.time())
            except NodeStopped as error:
                if target is self._local:
                    raise
                if not repeatable:
                    raise _in_its_hands(what, error) from error
                refusal = error
            except RaftifyError as error:
                if not _says_ask_again(error):
                    raise
                refusal = error
            await self._pause(deadline)

    async def propose_many(
        self, payloads: Sequence[bytes], *, timeout: float
    ) -> list[bytes | RaftifyError]:
        """Propose all at once; return for each what `call` would return or raise for it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        answers: list[bytes | RaftifyError] = [_NOT_YET] * len(payloads)
        still, refusal = list(range(len(payloads))), None
        await self._state.check_started()
        while still:
            try:
                target = await self._leader(deadline, "a proposal of many", refusal)
            except (NoLeader, NodeStopped) as error:
                for place in still:
                    answers[place] = type(error)(*error.args)
                break
            left = deadline - loop.time()
            futures = {i: target.propose(payloads[i], timeout=left) for i in still}
            await _all_done(futures.values())
            still = []
            for place, future in futures.items():
                failure = future.exception()
                if isinstance(failure, Exception) and _says_ask_again(failure):
                    refusal = failure
                    still.append(place)
                elif isinstance(failure, NodeStopped) and target is not self._local:
                    answers[place] = _in_its_hands("the proposal", failure)
                elif isinstance(failure, RaftifyError):
                    answers[place] = failure
                else:
                    answers[place] = future.result()
            if still:
                await self._pause(deadline)
        return answers

    async def _leader(self, deadline: float, what: str, refusal: Exception | None) -> NodeApi:
        loop, state = asyncio.get_running_loop(), self._state
        state.check_loop()
        if state.is_leader and loop.time() < deadline:
            # The way of a leader's every proposal.
            return self._local
        with suppress(DeadlineExceeded):
            await state.wait_until(
                self._leader_is_known, timeout=max(deadline - loop.time(), 0), what="an election"
            )
        if not self._leader_is_known() or loop.time() >= deadline:
            detail = f"; the last answer was: {refusal}" if refusal else ""
            raise NoLeader(f"{what}: no leader took it before the deadline{detail}") from refusal
        if state.is_leader:
            return self._local
        return self._remote_leader()

    def _leader_is_known(self) -> bool:
        state = self._state
        return state.is_leader or (
            state.leader_id not in (INVALID_ID, state.node_id) and bool(state.leader_address)
        )

    def _remote_leader(self) -> RemoteNode:
        # A former leader's connection stays: what is under way there has its own answer coming.
        key = (self._state.leader_id, self._state.leader_address)
        remote = self._remotes.get(key)
        if remote is None:
            remote = self._remotes[key] = self._transport.connect(key[1], to_id=key[0])
        return remote

    async def _pause(self, deadline: float) -> None:
        """Wait for a change of leader, or a little while where the news has not reached us yet."""
        loop, state = asyncio.get_running_loop(), self._state
        seen = (state.leader_id, state.term)
        left = deadline - loop.time()
        with suppress(DeadlineExceeded):
            await state.wait_until(
                lambda: (state.leader_id, state.term) != seen,
                timeout=max(min(self._retry_interval, left), 0),
                what="a change of leader",
            )

    async def close(self) -> None:
        remotes, self._remotes = self._remotes, {}
        await asyncio.gather(*(remote.close() for remote in remotes.values()))


async def _all_done(futures: Iterable[asyncio.Future[bytes]]) -> None:
    """Wait until each has an answer: each has a deadline of its own. Cancelled, cancel them."""
    futures = list(futures)
    try:
        await asyncio.wait(futures)
    except asyncio.CancelledError:
        for future in futures:
            future.cancel()
        raise


def _says_ask_again(error: Exception) -> bool:
    """Say whether nothing happened, and another try may reach the leader.

    Where another node refused what was meant for the leader, its address is a wrong one; it will
    say itself where it is. Kinds of PeerRefused are about this node, and are for good.
    """
    again = NotLeader | LeaderTransferring | PeerUnreachable
    return isinstance(error, again) or type(error) is PeerRefused


def _in_its_hands(what: str, error: NodeStopped) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"the leader stopped while it had {what} in its hands; it may still take effect: {error}"
    )
