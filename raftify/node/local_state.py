"""What this node knows of itself: readable at any moment, awaitable, written by its owner tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum

from raftify.core.types import INVALID_ID, Role
from raftify.errors import ConfigError, DeadlineExceeded, NodeStopped
from raftify.peers import Membership
from raftify.storage.base import StoreIdentity


class RunningState(StrEnum):
    """Where a node is between `bootstrap` and its end; the last two are final."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class LocalState:
    """Facts about this node. Reading needs no round trip to the core.

    `delivered` is the last entry whose effect on the membership is in force, `applied` the last
    one that the state machine has applied; applied <= delivered <= committed.
    """

    def __init__(self, identity: StoreIdentity, address: str, membership: Membership) -> None:
        self.identity = identity
        self.address = address
        self.membership = membership
        #: What this node would still know of it after a crash.
        self.durable_membership = membership
        #: Whether enough of the others have said that this node was removed.
        self.told_of_removal = False
        #: The origin that a joiner's ticket names, or that of the first snapshot, on its way to
        #: the disk, of a node that waits.
        self.ticket_origin = ""
        self.role = Role.FOLLOWER
        self.term = 0
        self.leader_id = INVALID_ID
        self.committed = 0
        self.delivered = 0
        self.applied = 0
        self.running = RunningState.NEW
        #: The event loop that the node runs on; None before.
        self.loop: asyncio.AbstractEventLoop | None = None
        self.failure: BaseException | None = None
        #: Called at each change, for whoever looks at every step; it must not change anything.
        self.on_change: Callable[[], None] | None = None
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    @property
    def node_id(self) -> int:
        return self.identity.node_id

    @property
    def origin(self) -> str:
        """The origin of this node's cluster, see `Membership`; empty until known."""
        return self.membership.origin or self.ticket_origin

    @property
    def is_leader(self) -> bool:
        return self.role is Role.LEADER and self.running is RunningState.RUNNING

    @property
    def leader_address(self) -> str:
        return self.membership.address_of(self.leader_id)

    def check_loop(self) -> None:
        """Raise ConfigError where another event loop runs than the node's: it would wake nobody."""
        if self.loop is not None and asyncio.get_running_loop() is not self.loop:
            raise ConfigError(
                f"node {self.node_id} runs on another event loop: call it from there, for example "
                "with asyncio.run_coroutine_threadsafe, or reach it with create_client"
            )

    def notify(self) -> None:
        """Let those who wait look again; called after each change."""
        if self.on_change is not None:
            self.on_change()
        if not self._waiting:
            return
        still = []
        for holds, future in self._waiting:
            if future.done():
                continue
            if self.has_ended():
                future.set_exception(self.stopped_error())
                continue
            try:
                if holds():
                    future.set_result(None)
                else:
                    still.append((holds, future))
            except Exception as error:  # noqa: BLE001 - a user's, and for nobody but the one who waits
                future.set_exception(error)
        self._waiting = still

    def has_ended(self) -> bool:
        return self.running in (RunningState.STOPPED, RunningState.FAILED)

    def stopped_error(self) -> NodeStopped:
        if self.failure is not None:
            return NodeStopped(f"node {self.node_id} stopped because of: {self.failure}")
        return NodeStopped(f"node {self.node_id} is {self.running}")

    async def check_started(self) -> None:
        """Raise NodeStopped if nobody has started `run`, which would be waited for in vain."""
        if self.running is RunningState.NEW:
            # A task that was made just now begins with the next round of the event loop.
            await asyncio.sleep(0)
        if self.running is RunningState.NEW:
            raise NodeStopped(
                f"node {self.node_id} does not run: start it with "
                "asyncio.create_task(raft.run()) or `async with raft`"
            )

    async def wait_until(self, holds: Callable[[], bool], *, timeout: float, what: str) -> None:
        """Return once `holds()` is true.

        Raises:
            DeadlineExceeded: it was not within `timeout` seconds; the text says `what`.
            NodeStopped: the node ended first.
        """
        # To make a timer for what holds already was a third of the cost of a proposal.
        if self._holds_now(holds):
            return
        try:
            async with asyncio.timeout(timeout):
                await self._wait(holds)
        except TimeoutError:
            raise DeadlineExceeded(f"{what} did not happen within {timeout:g} s") from None

    async def wait_for(self, holds: Callable[[], bool]) -> None:
        """The same without a deadline, for those who follow a node for its whole life.

        Raises:
            NodeStopped: the node ended first.
        """
        if not self._holds_now(holds):
            await self._wait(holds)

    def _holds_now(self, holds: Callable[[], bool]) -> bool:
        if self.has_ended():
            raise self.stopped_error()
        self.check_loop()
        return holds()

    async def _wait(self, holds: Callable[[], bool]) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((holds, future))
        try:
            await future
        finally:
            future.cancel()
