"""NodeApi as this node serves it: only what it can do itself, and NotLeader for the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from raftify.config import Config
from raftify.core.raw_node import RawNode
from raftify.core.types import INVALID_ID, ConfChangeV2, Entry, Message, Role, Snapshot
from raftify.errors import (
    ConfigError,
    DeadlineExceeded,
    InvariantViolation,
    JoinRejected,
    ProposalTooLarge,
    RaftifyError,
    SnapshotTemporarilyUnavailable,
    TransferRejected,
)
from raftify.node.applier import EMPTY_PROPOSAL
from raftify.node.config_changes import prepare
from raftify.node.core_task import CoreTask
from raftify.node.inbox import Inbox, Proposal
from raftify.node.local_state import LocalState
from raftify.node.snapshotter import Snapshotter
from raftify.peers import (
    Address,
    ClusterJoinTicket,
    ClusterView,
    Membership,
    Peer,
    ReservedId,
)
from raftify.records import InternalCommand, ReserveId, SetAddresses, encode_command

T = TypeVar("T")


class LocalApi:
    """What anyone may ask of this node. Everything that needs the core goes through the inbox."""

    def __init__(
        self,
        *,
        config: Config,
        state: LocalState,
        raw: RawNode,
        inbox: Inbox,
        core: CoreTask,
        snapshotter: Snapshotter,
        report: Callable[[], dict[str, object]],
    ) -> None:
        self._config = config
        self._state = state
        self._raw = raw
        self._inbox = inbox
        self._core = core
        self._snapshotter = snapshotter
        self._report = report
        self._asking: set[asyncio.Future[Any]] = set()

    # -- log --------------------------------------------------------------------------------

    def propose(self, data: bytes, *, timeout: float, term: int = 0) -> asyncio.Future[bytes]:
        """See `NodeApi.propose`. With a `term` only the leader of that term appends it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        try:
            self._check_payload(data)
            context = b"" if data else EMPTY_PROPOSAL
            self._inbox.put_proposal(Proposal(data, context, future, loop.time() + timeout, term))
        except RaftifyError as error:
            future.set_exception(error)
        return future

    def _check_payload(self, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise ConfigError(f"a proposal is bytes, not {type(data).__name__}: encode it first")
        limit = self._config.max_proposal_bytes
        if len(data) > limit:
            raise ProposalTooLarge(
                f"the proposal has {len(data)} bytes; Config.max_proposal_bytes allows {limit}"
            )

    async def read_index(self, *, timeout: float) -> int:
        self._state.check_loop()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        self._core.intake.read(future, loop.time() + timeout)
        return await future

    # -- membership -------------------------------------------------------------------------

    async def change_config(self, change: ConfChangeV2, *, timeout: float) -> Membership:
        return await self._ask(
            lambda f, deadline: self._propose_change(change, f, deadline), timeout
        )

    async def leave_joint(self, *, timeout: float) -> Membership:
        return await self.change_config(ConfChangeV2(), timeout=timeout)

    async def request_id(
        self, raft_addr: str, identity: str, *, timeout: float
    ) -> ClusterJoinTicket:
        address = Address.parse(raft_addr)
        identity = identity or address

        def reserve(future: asyncio.Future[Membership], deadline: float) -> None:
            membership = self._core.delivery.membership
            if identity in membership.reservations:
                future.set_result(membership)
                return
            for peer in membership.peers.values():
                if peer.address == address:
                    raise JoinRejected(
                        f"{address} is the address of node {peer.node_id}, a member of this "
                        "cluster. If that machine lost its disk, remove the node first"
                    )
            self._propose_command(ReserveId(identity), future, deadline)

        membership = await self._ask(reserve, timeout)
        return ClusterJoinTicket(
            reserved_id=ReservedId(membership.reservations[identity]),
            raft_addr=address,
            cluster_id=self._state.identity.cluster_id,
            leader_id=self._state.node_id,
            leader_addr=self._state.address,
            peers=dict(membership.peers),
        )

    async def get_peers(self, *, timeout: float) -> ClusterView:
        state = self._state
        return ClusterView(
            node_id=state.node_id,
            cluster_id=state.identity.cluster_id,
            leader_id=state.leader_id,
            leader_address=state.leader_address,
            membership=state.membership,
        )

    async def set_peers(self, peers: Sequence[Peer], *, timeout: float) -> None:
        unknown = [p.node_id for p in peers if p.node_id not in self._state.membership.peers]
        if unknown:
            raise ConfigError(
                f"set_peers may only change addresses of members, and {unknown} are none"
            )
        for peer in peers:
            Address.parse(peer.address)
        command = SetAddresses(tuple(peers))
        await self._ask(lambda f, deadline: self._propose_command(command, f, deadline), timeout)

    def _propose_change(
        self, change: ConfChangeV2, future: asyncio.Future[Membership], deadline: float
    ) -> None:
        membership = self._core.delivery.membership
        prepared = prepare(change, membership)
        if prepared is None:
            future.set_result(membership)
            return
        self._raw.propose_conf_change(b"", prepared)
        raft = self._raw.raft
        term, index = raft.term, raft.raft_log.last_index()
        self._core.delivery.waiters.add(term=term, index=index, future=future, deadline=deadline)

    def _propose_command(
        self, command: InternalCommand, future: asyncio.Future[Membership], deadline: float
    ) -> None:
        term, index = self._raw.propose_batch([Entry(context=encode_command(command))])
        self._core.delivery.waiters.add(term=term, index=index, future=future, deadline=deadline)

    # -- operation --------------------------------------------------------------------------

    async def transfer_leader(self, to: int, *, timeout: float) -> None:
        """Hand leadership to the voter `to`; returns once it leads.

        Raises:
            TransferRejected: it is no voter, or did not take over within one election timeout.
        """
        state = self._state
        if to == state.node_id and state.is_leader:
            return

        def transfer(future: asyncio.Future[None], _deadline: float) -> None:
            if to not in state.membership.conf_state.voters:
                raise TransferRejected(f"node {to} is no voter, so it cannot lead")
            self._raw.transfer_leader(to)
            future.set_result(None)

        def decided() -> bool:
            return state.leader_id == to or not self._raw.raft.lead_transferee

        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        await self._ask(transfer, timeout)
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

    def matched_voters(self) -> dict[int, int]:
        """Return, at a leader, up to where each other voter's log is known to match."""
        voters, own = self._state.membership.conf_state.voters, self._state.node_id
        progress = self._raw.status().progress
        return {i: p.matched for i, p in progress.items() if i in voters and i != own}

    async def create_snapshot(self, *, timeout: float) -> int:
        loop, state = asyncio.get_running_loop(), self._state
        deadline = loop.time() + timeout
        await state.check_started()
        await state.wait_until(
            lambda: state.applied >= state.membership.index,
            timeout=timeout,
            what="applying the latest membership",
        )
        try:
            async with asyncio.timeout_at(deadline):
                snapshot = await self._snapshotter.request()
        except TimeoutError:
            raise DeadlineExceeded(
                f"the snapshot was not finished within {timeout:g} s; it goes on"
            ) from None
        if snapshot is None:
            raise SnapshotTemporarilyUnavailable(
                "the membership is just changing, or a snapshot is being received; try again"
            )
        return snapshot.metadata.index

    def replace_snapshot(self, damaged: Snapshot, error: Exception) -> None:
        """See `Snapshotter.replace`."""
        self._snapshotter.replace(damaged, error)

    async def debug_node(self, *, timeout: float) -> str:
        return json.dumps(self._report())

    async def send_message(self, message: Message, *, timeout: float) -> None:
        await self._inbox.put_messages([message])

    async def campaign(self, *, timeout: float) -> None:
        def campaign(future: asyncio.Future[None], _deadline: float) -> None:
            self._raw.campaign()
            future.set_result(None)

        await self._state.check_started()
        await self._ask(campaign, timeout, leader_only=False)

    # -- the way to the core ----------------------------------------------------------------

    def fail_callers(self, make_error: Callable[[], RaftifyError]) -> None:
        """Resolve whoever waits for a call that the core will never take."""
        for future in list(self._asking):
            if not future.done():
                future.set_exception(make_error())
        self._snapshotter.fail_requests(make_error)

    async def _ask(
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
                    raise self._core.not_leader()
                act(future, deadline)
            except InvariantViolation as error:
                future.set_exception(error)
                raise
            except RaftifyError as error:
                future.set_exception(error)

        self._asking.add(future)
        try:
            self._inbox.put_call(call)
            async with asyncio.timeout_at(deadline):
                return await future
        except TimeoutError:
            raise DeadlineExceeded(
                f"the request was not carried out within {timeout:g} s; it may still be"
            ) from None
        finally:
            self._asking.discard(future)
