"""One call to whoever leads: follow the leader, repeat what is safe to repeat, keep the deadline.

What may be repeated follows from the error's class (see `raftify.errors`): after Rejected and
PeerUnreachable nothing happened. After OutcomeUnknown the entry may still be applied, so only a
call whose repetition changes nothing goes on then.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from raftify.client.backoff import Backoff
from raftify.client.directory import ClusterDirectory
from raftify.errors import (
    DeadlineExceeded,
    LeaderTransferring,
    NodeStopped,
    NoLeader,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    PeerRefused,
    PeerUnreachable,
    ProposalDropped,
    RaftifyError,
)
from raftify.transport.interface import RemoteNode

T = TypeVar("T")
Operation = Callable[[RemoteNode, float], Awaitable[T]]


class LeaderCall:
    """A call under way. `repeatable` says that doing it twice is the same as doing it once."""

    def __init__(
        self,
        directory: ClusterDirectory,
        source: random.Random,
        *,
        timeout: float,
        started: float,
        attempt_timeout: float,
        repeatable: bool,
    ) -> None:
        self._directory = directory
        self._backoff = Backoff(source)
        self._timeout = timeout
        self._started = started
        self._attempt_timeout = attempt_timeout
        self._repeatable = repeatable
        self._may_redirect = True
        self._last_error: RaftifyError | None = None

    async def run(self, operation: Operation[T]) -> T:
        """Return what the leader answers.

        Raises:
            NoLeader: until the deadline nothing was submitted; the message says who was asked.
            Overloaded, LeaderTransferring: likewise, and that is what the leader said last.
            OutcomeUnknown: the operation was submitted, and its fate is not known.
            PeerRefused: every address belongs to another cluster.
            RaftifyError: what else the leader answered.
        """
        while True:
            leader = await self._leader()
            address = self._directory.leader_address
            try:
                return await operation(leader, self._attempt_time())
            except RaftifyError as error:
                await self.recover(error, address)

    async def recover(self, error: RaftifyError, address: str) -> None:
        """Return when, after `error` from `address`, it is time to try again; else raise."""
        directory = self._directory
        directory.note(address, error)
        self._last_error = error
        match error:
            case NotLeader():
                directory.forget_leader(address)
                hint = error.leader_address or directory.address_of(error.leader_id)
                # One hint is followed at once. More of them may be going round in a circle.
                if self._may_redirect and hint != address and self._follow(hint):
                    self._may_redirect = False
                    return
            case NoLeader() | PeerUnreachable() | PeerRefused():
                directory.forget_leader(address)
            case Overloaded() | LeaderTransferring():
                pass
            case ProposalDropped() if type(error) is ProposalDropped:
                pass
            case OutcomeUnknown() | NodeStopped():
                if isinstance(error, NodeStopped):
                    directory.note_stopping(address)
                directory.forget_leader(address)
                if not self._repeatable:
                    raise_unknown(error, address)
            case _:
                raise error
        await self._pause()

    def _follow(self, hint: str) -> bool:
        """Go where a former leader points, unless another call has found the leader already."""
        return self._directory.leader is not None or self._directory.set_leader(hint)

    async def _leader(self) -> RemoteNode:
        while True:
            left = self._time_left()
            if left <= 0:
                raise self._too_late() from self._last_error
            leader = self._directory.leader or await self._directory.find_leader(left)
            if leader is not None:
                return leader
            refusal = self._directory.unanimous_refusal(self._started)
            if refusal is not None:
                raise refusal
            await self._pause()

    async def _pause(self) -> None:
        self._may_redirect = True
        await asyncio.sleep(max(0.0, min(self._backoff.next_delay(), self._time_left())))

    def _time_left(self) -> float:
        return self._started + self._timeout - asyncio.get_running_loop().time()

    def _attempt_time(self) -> float:
        left = self._time_left()
        return min(left, self._attempt_timeout) if self._repeatable else left

    def _too_late(self) -> RaftifyError:
        answers = self._directory.describe_answers(self._started)
        match self._last_error:
            case Overloaded() | LeaderTransferring() as error:
                return type(error)(f"{error}; so it was for all of {self._timeout:g} s")
            case OutcomeUnknown() | NodeStopped():
                return DeadlineExceeded(f"no answer within {self._timeout:g} s; asked {answers}")
            case _:
                return NoLeader(f"found no leader within {self._timeout:g} s; asked {answers}")


def raise_unknown(error: RaftifyError, address: str) -> NoReturn:
    """Raise `error`, or for a node that stopped with the request in its hands OutcomeUnknown."""
    if isinstance(error, OutcomeUnknown):
        raise error
    raise OutcomeUnknown(
        f"the node at {address} stopped while the request was under way; it may still take "
        f"effect: {error}"
    ) from error
