"""NodeApi as this node serves it: only what it can do itself, and NotLeader for the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Final

from raftify.config import Config
from raftify.core.raw_node import RawNode
from raftify.core.types import (
    ConfChangeV2,
    Entry,
    Message,
    Role,
    Snapshot,
)
from raftify.errors import (
    ConfChangeRejected,
    ConfigError,
    DeadlineExceeded,
    JoinRejected,
    ProposalTooLarge,
    RaftifyError,
    SnapshotTemporarilyUnavailable,
)
from raftify.node.applier import EMPTY_PROPOSAL
from raftify.node.changes_refused import check_promoted, check_quorum_left
from raftify.node.config_changes import prepare
from raftify.node.core_calls import CoreCalls
from raftify.node.core_task import CoreTask
from raftify.node.departures import Departures
from raftify.node.inbox import Inbox, Proposal
from raftify.node.initializing import initialize
from raftify.node.local_state import LocalState
from raftify.node.snapshotter import Snapshotter
from raftify.node.state_machine_runner import StateMachineRunner
from raftify.node.succession import Succession
from raftify.peers import (
    Address,
    ClusterJoinTicket,
    ClusterView,
    Membership,
    Peer,
    Peers,
    ReservedId,
)
from raftify.records import InternalCommand, ReserveId, SetAddresses, encode_command

#: Characters in the name under which a joiner asks for its id; all of them keep it for ever.
MOST_IDENTITY: Final = 512


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
        runner: StateMachineRunner,
        report: Callable[[], dict[str, object]],
    ) -> None:
        self._config = config
        self._state = state
        self._raw = raw
        self._inbox = inbox
        self._core = core
        self._snapshotter = snapshotter
        self._runner = runner
        self._report = report
        self._calls = CoreCalls(state, raw, inbox, core.not_leader)
        self.succession = Succession(
            state=state, raw=raw, calls=self._calls, is_silent=self._is_silent, config=config
        )
        self.transfer_leader = self.succession.transfer
        self.departures = Departures(
            state=state,
            raw=raw,
            inbox=inbox,
            succession=self.succession,
            is_silent=self._is_silent,
            config=config,
        )

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

    async def query(self, data: bytes, *, timeout: float, stale: bool = False) -> bytes:
        if not isinstance(data, bytes):
            raise ConfigError(f"a query is bytes, not {type(data).__name__}")
        try:
            async with asyncio.timeout(timeout):
                if not stale:
                    index = await self.read_index(timeout=timeout)
                    await self._state.wait_until(
                        lambda: self._state.applied >= index, timeout=timeout, what="the query"
                    )
                return await self._runner.query(data)
        except TimeoutError:
            raise DeadlineExceeded(f"the query was not answered within {timeout:g} s") from None

    async def change_config(
        self, change: ConfChangeV2, *, timeout: float, force: bool = False
    ) -> Membership:
        def propose(future: asyncio.Future[Membership], deadline: float) -> None:
            if not force:
                self._check_unforced(change)
            self._propose_change(change, future, deadline)

        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        await self._first_commit(timeout)
        before = self._core.delivery.membership
        if self.departures.takes_office_away(change, before):
            if not force:
                self._check_unforced(change)
            left = max(deadline - loop.time(), 0)
            await self.departures.hand_over(change, before, timeout=left)
        membership = await self._calls.ask(propose, max(deadline - loop.time(), 0))
        left = max(deadline - loop.time(), 0)
        await self.departures.until_known(change, before, membership, timeout=left, force=force)
        return membership

    async def _first_commit(self, timeout: float) -> None:
        """Wait until a leader that is new in its office may change the configuration."""
        state, raft = self._state, self._raw.raft
        await state.wait_until(
            lambda: not state.is_leader or raft.commit_to_current_term(),
            timeout=timeout,
            what="the new leader's first commit",
        )

    def _check_unforced(self, change: ConfChangeV2) -> None:
        """Refuse what would leave the cluster waiting; see `changes_refused`."""
        membership = self._core.delivery.membership
        check_promoted(change, membership, self._raw, max_lag=self._config.learner_max_lag)
        check_quorum_left(change, membership, self._is_silent)

    def _is_silent(self, node_id: int) -> bool:
        """Say, at a leader, whether a member was not heard of for an election timeout."""
        patience = self._config.raft_config.election_tick * self._config.tick_interval
        now = asyncio.get_running_loop().time()
        return (
            node_id != self._state.node_id
            and self._core.contacts.missed_for(node_id, now) > patience
        )

    async def await_caught_up(self, node_id: int, *, timeout: float) -> int:
        """Return where member `node_id` is once it has all that was committed at the call.

        Raises:
            ConfChangeRejected: it is no member.
            DeadlineExceeded: it was not within `timeout` seconds; it may be down.
        """
        state, raft = self._state, self._raw.raft

        def missing() -> int | None:
            progress = raft.tracker.progress.get(node_id)
            return None if progress is None else max(target - progress.matched, 0)

        def note(future: asyncio.Future[int], _deadline: float) -> None:
            future.set_result(raft.raft_log.committed)

        deadline = asyncio.get_running_loop().time() + timeout
        target = await self._calls.ask(note, timeout)
        await state.wait_until(
            lambda: not (state.is_leader and missing()),
            timeout=max(deadline - asyncio.get_running_loop().time(), 0),
            what=f"the catching up of node {node_id}, which lacked {missing()} entries,",
        )
        if not state.is_leader:
            raise self._core.not_leader()
        if missing() is None:
            raise ConfChangeRejected(f"node {node_id} is no member, so it follows nobody")
        return target

    async def initialize(self, peers: Peers, *, timeout: float) -> Membership:
        return await initialize(self._state, peers, self._found, timeout=timeout)

    async def _found(self, first: Snapshot, timeout: float) -> None:
        """See `CoreTask.found`; returns before it is durable."""

        def found(future: asyncio.Future[None], _deadline: float) -> None:
            self._core.found(first)
            future.set_result(None)

        await self._calls.ask(found, timeout, leader_only=False)

    async def leave_joint(self, *, timeout: float) -> Membership:
        return await self.change_config(ConfChangeV2(), timeout=timeout)

    async def request_id(
        self, raft_addr: str, identity: str, *, timeout: float
    ) -> ClusterJoinTicket:
        address = Address.parse(raft_addr)
        identity = identity or address
        if len(identity) > MOST_IDENTITY:
            raise JoinRejected(
                f"an identity of {len(identity)} characters; at most {MOST_IDENTITY} are allowed"
            )

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

        membership = await self._calls.ask(reserve, timeout)
        return ClusterJoinTicket(
            reserved_id=ReservedId(membership.reservations[identity]),
            raft_addr=address,
            cluster_id=self._state.identity.cluster_id,
            leader_id=self._state.node_id,
            leader_addr=self._state.address,
            peers=dict(membership.peers),
            origin=membership.origin,
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
        await self._calls.ask(
            lambda f, deadline: self._propose_command(command, f, deadline), timeout
        )

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

    async def read_state(self, *, timeout: float) -> bytes:
        await self._state.check_started()
        try:
            async with asyncio.timeout(timeout):
                return await self._runner.encode()
        except TimeoutError:
            raise DeadlineExceeded(f"the state was not encoded within {timeout:g} s") from None

    async def send_message(self, message: Message, *, timeout: float) -> None:
        await self._inbox.put_messages([message])

    async def purge_log(self, index: int, *, timeout: float) -> int:
        self._state.check_loop()
        await self._state.check_started()
        try:
            async with asyncio.timeout(timeout):
                purged = await self._snapshotter.purge(index)
        except TimeoutError:
            raise DeadlineExceeded(f"the purge did not end within {timeout:g} s") from None
        self._state.notify()
        return purged

    async def ping(self, *, timeout: float) -> None:
        def ping(future: asyncio.Future[None], _deadline: float) -> None:
            self._raw.ping()
            future.set_result(None)

        await self._state.check_started()
        await self._calls.ask(ping, timeout)

    async def demote(self, *, timeout: float) -> None:
        def demote(future: asyncio.Future[None], _deadline: float) -> None:
            if self._raw.raft.role is Role.LEADER:
                self._raw.step_down()
            future.set_result(None)

        await self._state.check_started()
        await self._calls.ask(demote, timeout, leader_only=False)

    async def campaign(self, *, timeout: float) -> None:
        def campaign(future: asyncio.Future[None], _deadline: float) -> None:
            self._raw.campaign()
            future.set_result(None)

        await self._state.check_started()
        await self._calls.ask(campaign, timeout, leader_only=False)

    def fail_callers(self, make_error: Callable[[], RaftifyError]) -> None:
        """Resolve whoever waits for a call that the core will never take."""
        self._calls.fail_all(make_error)
        self._snapshotter.fail_requests(make_error)
