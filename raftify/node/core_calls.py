"""Calls that the core's task carries out, and that somebody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from raftify.core.raw_node import RawNode
from raftify.core.types import Role
from raftify.errors import DeadlineExceeded, InvariantViolation, NotLeader, RaftifyError
from raftify.node.inbox import Inbox
from raftify.node.local_state import LocalState

T = TypeVar("T")


class CoreCalls:
    """Brings calls before the core, and fails those that it will never take."""

    def __init__(
        self,
        state: LocalState,
        raw: RawNode,
        inbox: Inbox,
        not_leader: Callable[[], NotLeader],
    ) -> None:
        self._state = state
        self._raw = raw
        self._inbox = inbox
        self._not_leader = not_leader
        # In the order in which they came, so that the same run fails them in the same one.
        self._asking: dict[asyncio.Future[Any], None] = {}

    def fail_all(self, make_error: Callable[[], RaftifyError]) -> None:
        for future in list(self._asking):
            if not future.done():
                future.set_exception(make_error())

    async def ask(
        self,
        act: Callable[[asyncio.Future[T], float], None],
        timeout: float,
        *,
        leader_only: bool = True,
    ) -> T:
        """Have the core's task run `act`, and return what it, or what it set in motion, answers."""
        self._state.check_loop()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        deadline = loop.time() + timeout

        def call() -> None:
            if future.done():
                return
            try:
                if leader_only and self._raw.raft.role is not Role.LEADER:
                    raise self._not_leader()
                act(future, deadline)
            except RaftifyError as error:
                future.set_exception(error)
                if isinstance(error, InvariantViolation) or self._raw.failure is not None:
                    # It is the end of the node, whoever asked; raised here it is told by its cause.
                    raise

        self._asking[future] = None
        try:
            self._inbox.put_call(call)
            async with asyncio.timeout_at(deadline):
                return await future
        except TimeoutError:
            raise DeadlineExceeded(
                f"the request was not carried out within {timeout:g} s; it may still be"
            ) from None
        finally:
            self._asking.pop(future, None)
