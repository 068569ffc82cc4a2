"""The facade: one object per node, with everything a program needs of its cluster."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from random import Random
from types import TracebackType
from typing import Self

from raftify import joining, leaving
from raftify.config import Config
from raftify.core.types import ConfChangeV2
from raftify.errors import (
    ConfigError,
    NodeStopped,
    RaftifyError,
)
from raftify.node.founding import prepare_store, release_store, take_store
from raftify.node.local_state import RunningState
from raftify.node.raft_node import RaftNode
from raftify.peers import Address, ClusterJoinTicket, Membership, Peers
from raftify.records import decode_peers, encode_peers
from raftify.state_machine import AbstractLogEntry, AbstractStateMachine
from raftify.storage.base import StableStorage
from raftify.transport.grpc_transport import GrpcTransport
from raftify.transport.interface import Transport


class Raft:
    """A node of a Raft cluster.

    Make it with `bootstrap`, run it with `run` in a task or by `async with`, and use it from the
    same event loop. Every waiting call has a deadline: its `timeout` in seconds, or the one of
    the Config. Cancelling a call stops the waiting; what was proposed may still take effect.
    """

    def __init__(self, node: RaftNode) -> None:
        self._node = node
        self._task: asyncio.Task[None] | None = None

    # -- beginning and end ------------------------------------------------------------------

    @classmethod
    def bootstrap(
        cls,
        node_id: int,
        raft_addr: str,
        log_storage: StableStorage,
        fsm: AbstractStateMachine,
        config: Config | None = None,
        logger: logging.Logger | None = None,
        *,
        transport: Transport | None = None,
        random: Random | None = None,
    ) -> Self:
        """Return a node ready to run.

        On a store that has a log it resumes; calling it again and again is safe. On a new store it
        founds a cluster of its own, or becomes a member of `config.initial_peers` if given; with
        the `reserved_id` of a ticket it waits for `join_cluster` instead.

        Args:
            node_id: unique in the cluster for ever, from 1 upwards.
            raft_addr: `host:port` to listen on, and at which the other nodes reach this one.
            log_storage: belongs to the node from here on; it is closed at the node's end, and if
                this raises.
            fsm: the state machine; empty, as it was before its first entry.
            config: settings; the defaults suit machines in one data centre.
            logger: where the node writes what an operator wants to know.
            transport: how messages travel; gRPC if not given.
            random: spreads the elections; give a seeded one to repeat a run.

        Raises:
            ConfigError: an argument or setting is wrong.
            StorageForeign: the store is that of another node or cluster.
            StorageLocked: a node has this very object already.
        """
        config = Config() if config is None else config
        logger = logging.getLogger("raftify") if logger is None else logger
        if not isinstance(config, Config):
            raise ConfigError(f"config is {type(config).__name__}, no Config")
        if not isinstance(logger, logging.Logger | logging.LoggerAdapter):
            raise ConfigError(f"logger is {type(logger).__name__}, no logging.Logger")
        address = Address.parse(raft_addr)
        if address.host in ("0.0.0.0", "[::]"):  # noqa: S104 - refused, not bound
            raise ConfigError(
                f"raft_addr {address} names no machine: the other nodes reach this one by it, so "
                "give the address or name they know it by"
            )
        if not isinstance(log_storage, StableStorage):
            raise ConfigError(
                f"log_storage is {type(log_storage).__name__}, no storage: use LmdbStorage.create"
            )
        if not isinstance(fsm, AbstractStateMachine):
            raise ConfigError(f"fsm is {type(fsm).__name__}, no AbstractStateMachine")
        take_store(log_storage)
        try:
            prepare_store(
                log_storage, node_id=node_id, address=address, config=config, logger=logger
            )
            node = RaftNode(
                address=address,
                config=config,
                storage=log_storage,
                state_machine=fsm,
                transport=transport or GrpcTransport(address, config, logger),
                random=random or Random(),
                logger=logger,
            )
        except BaseException:
            log_storage.close()
            release_store(log_storage)
            raise
        return cls(node)

    async def run(self) -> None:
        """Run the node until `quit` or `leave`, or until it breaks.

        Raises:
            AddressInUse: the port of `raft_addr` is taken.
            StateMachineError: the state machine raised; the node stopped before the next entry.
            StorageError: the disk is full or damaged.
            NodeRemoved, IncarnationMismatch: the cluster does not take this node any more.
        """
        await self._node.run()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.run(), name=f"raftify-{self.get_id()}")
        state = self._node.state
        try:
            await state.wait_until(
                lambda: state.running is RunningState.RUNNING,
                timeout=self._node.config.snapshot_timeout,
                what="restoring the state machine",
            )
        except NodeStopped:
            await self._task  # raises what was wrong
            raise
        except BaseException:
            # Nobody else will: `__aexit__` follows only on success.
            await self.quit()
            with suppress(asyncio.CancelledError, RaftifyError):
                await self._task
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._task is not None
        await self.quit()
        await self._task

    async def quit(self) -> None:
        """Stop this node. It stays a member, and a later `bootstrap` on its store resumes.

        Returns once port, threads and store are released. What still waits fails with NodeStopped.
        """
        await self._node.quit()

    async def leave(self, *, timeout: float | None = None) -> None:
        """Remove this node from its cluster, then stop it. Its id is never used again.

        A leader hands its office over first. While another change is under way it waits its turn.

        Raises:
            ConfChangeRejected: it is the last voter; use `quit`.
            NoLeader: nobody could carry it out within `timeout` seconds; the node goes on.
        """
        await leaving.leave(self._node, timeout=timeout)

    # -- joining ----------------------------------------------------------------------------

    @staticmethod
    async def request_id(
        raft_addr: str,
        peer_addr: str,
        *,
        identity: str = "",
        timeout: float | None = None,
        config: Config | None = None,
    ) -> ClusterJoinTicket:
        """Ask a cluster for the id of a new node that will listen on `raft_addr`.

        Asking again brings the same id, until its node is removed: ids are kept in the replicated
        log under the joiner's `identity`, by default its address.

        Args:
            peer_addr: any node of the cluster.

        Raises:
            NoLeader: nobody there could answer within `timeout` seconds.
            JoinRejected: the address is that of a member.
        """
        return await joining.request_id(
            raft_addr, peer_addr, identity=identity, timeout=timeout, config=config or Config()
        )

    async def join_cluster(
        self, tickets: Sequence[ClusterJoinTicket], *, timeout: float | None = None
    ) -> None:
        """Make the nodes of `tickets` members, in one change; usually just this one.

        The node must be running. Safe to repeat, also after a crash in the middle. Returns once
        this node knows that it is a member.

        Raises:
            JoinRejected: the tickets are not for this cluster, or an id is used up.
            NoLeader: no leader took it within `timeout` seconds.
        """
        await joining.join(self._node, tickets, timeout=timeout)

    # -- log --------------------------------------------------------------------------------

    async def propose(
        self, data: bytes | AbstractLogEntry, *, timeout: float | None = None
    ) -> bytes:
        """Replicate one entry; return what the state machine's `apply` returned for it.

        On a follower it goes to the leader. Without a leader it waits for one.

        Raises:
            NoLeader: no leader took it within `timeout` seconds; it was not appended.
            ProposalTooLarge, Overloaded: it was not appended.
            LeadershipLost, DeadlineExceeded: it may take effect later, or never.
            NodeStopped: the node ended first.
        """
        payload = data.encode() if isinstance(data, AbstractLogEntry) else data
        node = self._node
        timeout = _seconds(timeout, node.config.proposal_timeout)
        return await node.leader.call(
            lambda leader, left: leader.propose(payload, timeout=left),
            timeout=timeout,
            what="the proposal",
        )

    async def read_index(self, *, timeout: float | None = None) -> int:
        """Return once the local state machine holds everything acknowledged before the call.

        A read of the state machine after it is linearizable (thesis 6.4), on every node. Returns
        the index that was waited for.

        Raises:
            NoLeader, DeadlineExceeded: not within `timeout` seconds.
        """
        node, loop = self._node, asyncio.get_running_loop()
        timeout = _seconds(timeout, node.config.proposal_timeout)
        deadline = loop.time() + timeout
        index = await node.leader.call(
            lambda leader, left: leader.read_index(timeout=left),
            timeout=timeout,
            what="the read",
            repeatable=True,
        )
        await node.state.wait_until(
            lambda: node.state.applied >= index,
            timeout=max(deadline - loop.time(), 0),
            what=f"applying up to index {index}",
        )
        return index

    # -- membership -------------------------------------------------------------------------

    async def change_config(
        self,
        change: ConfChangeV2,
        peers: Mapping[int, str] | None = None,
        *,
        timeout: float | None = None,
    ) -> Membership:
        """Change the configuration; return the membership that it led to.

        Several changes at once go through a joint configuration; unless the transition is explicit,
        the call returns after that was left again.

        Args:
            change: what to add, demote or remove.
            peers: the addresses of the nodes that are new.

        Raises:
            PendingConfChange: another change is under way.
            ConfChangeRejected: it is impossible, or an address is missing.
            NoLeader: no leader took it within `timeout` seconds.
        """
        if not isinstance(change, ConfChangeV2):
            raise ConfigError(f"a ConfChangeV2 is wanted, not {type(change).__name__}")
        if peers:
            named = [*decode_peers(change.context), *Peers(peers).values()]
            change = ConfChangeV2(change.transition, change.changes, encode_peers(named))
        wanted = change
        node = self._node
        timeout = _seconds(timeout, node.config.conf_change_request_timeout)
        return await node.leader.call(
            lambda leader, left: leader.change_config(wanted, timeout=left),
            timeout=timeout,
            what="the configuration change",
        )

    async def leave_joint(self, *, timeout: float | None = None) -> Membership:
        """Leave a joint configuration that was entered explicitly (thesis 4.3)."""
        return await self.change_config(ConfChangeV2(), timeout=timeout)

    def get_peers(self) -> Peers:
        """Return the members with their addresses, as this node knows them."""
        return Peers(self._node.state.membership.peers.values())

    def get_cluster_size(self) -> int:
        """Return the number of members, learners included."""
        return len(self._node.state.membership.member_ids())

    # -- leadership -------------------------------------------------------------------------

    def is_leader(self) -> bool:
        """Say whether this node believes to lead. Not a linearizable check: see `read_index`."""
        return self._node.state.is_leader

    def get_id(self) -> int:
        return self._node.state.node_id

    def get_leader_id(self) -> int:
        """Return the leader's id as this node knows it; 0 while it knows of none."""
        return self._node.state.leader_id

    async def wait_for_leader(self, *, timeout: float | None = None) -> int:
        """Return the leader's id once one is known.

        Raises:
            DeadlineExceeded: none was within `timeout` seconds.
        """
        state = self._node.state
        timeout = _seconds(timeout, self._node.config.proposal_timeout)
        await state.wait_until(lambda: bool(state.leader_id), timeout=timeout, what="an election")
        return state.leader_id

    async def transfer_leader(self, node_id: int, *, timeout: float | None = None) -> None:
        """Hand leadership to the voter `node_id`; returns once it leads.

        Raises:
            TransferRejected: it is no voter, or did not take over within an election timeout.
        """
        node = self._node
        timeout = _seconds(timeout, node.config.conf_change_request_timeout)
        await node.leader.call(
            lambda leader, left: leader.transfer_leader(node_id, timeout=left),
            timeout=timeout,
            what=f"the transfer of leadership to node {node_id}",
        )

    async def campaign(self, *, timeout: float | None = None) -> None:
        """Stand for election now, without waiting for the election timeout.

        Returns when the campaign has begun; the votes decide.
        """
        node = self._node
        await node.api.campaign(timeout=_seconds(timeout, node.config.request_timeout))

    # -- operation --------------------------------------------------------------------------

    async def make_snapshot(self, *, timeout: float | None = None) -> int:
        """Take a snapshot of this node's state machine now; return the index it covers."""
        node = self._node
        timeout = _seconds(timeout, node.config.snapshot_timeout)
        return await node.api.create_snapshot(timeout=timeout)

    def state_machine(self) -> AbstractStateMachine:
        """Return this node's state machine. Reading it sees what has been applied here."""
        return self._node.state_machine

    def storage(self) -> StableStorage:
        return self._node.storage

    def inspect(self) -> dict[str, object]:
        """Return the node's inner state as plain values, for people and for tests."""
        return self._node.report()


def _seconds(timeout: float | None, default: float) -> float:
    """Return the time to wait; raise ConfigError unless it is one."""
    if timeout is None:
        return default
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise ConfigError(f"timeout is a number of seconds, not {timeout!r}")
    if not 0 < timeout < math.inf:
        raise ConfigError(f"timeout must be a number of seconds above 0, not {timeout!r}")
    return timeout
