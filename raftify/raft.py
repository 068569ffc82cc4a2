"""The facade: one object per node, with everything a program needs of its cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from types import TracebackType
from typing import Self, cast

from raftify import joining, leaving
from raftify.client.arguments import flag
from raftify.config import Config
from raftify.errors import (
    ConfigError,
    NodeStopped,
    RaftifyError,
)
from raftify.facade.leadership import Leadership
from raftify.facade.log import Log
from raftify.facade.members import Members
from raftify.facade.operation import Operation
from raftify.node.founding import prepare_store, release_store, take_store
from raftify.node.local_state import RunningState
from raftify.node.raft_node import RaftNode
from raftify.peers import Address, ClusterJoinTicket
from raftify.state_machine import AbstractStateMachine, Machine, Machine_co
from raftify.storage.base import StableStorage
from raftify.transport.grpc_transport import GrpcTransport
from raftify.transport.interface import Transport


class Raft(Log, Members, Leadership, Operation[Machine_co]):
    """A node of a Raft cluster.

    `Raft[MyMachine]` is a node with a MyMachine, as `bootstrap` returns for one: type checkers then
    know what `state_machine()` is. Just `Raft` is a node with any.

    Make it with `bootstrap`, run it with `run` in a task or by `async with`, and use it from the
    same event loop. Every waiting call has a deadline: its `timeout` in seconds, or the one of
    the Config. Cancelling a call stops the waiting; what was proposed may still take effect.
    """

    _node: RaftNode[Machine_co]

    def __init__(self, node: RaftNode[Machine_co]) -> None:
        self._node = node
        self._task: asyncio.Task[None] | None = None

    # -- beginning and end ------------------------------------------------------------------

    @classmethod
    def bootstrap(
        cls,
        node_id: int,
        raft_addr: str,
        log_storage: StableStorage,
        fsm: Machine,
        config: Config | None = None,
        logger: logging.Logger | None = None,
        *,
        transport: Transport | None = None,
        random: Random | None = None,
    ) -> Raft[Machine]:
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
        if transport is not None and not isinstance(transport, Transport):
            raise ConfigError(f"transport is {type(transport).__name__}, no Transport")
        if random is not None and not isinstance(random, Random):
            raise ConfigError(f"random is {type(random).__name__}, no random.Random")
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
        return cast("type[Raft[Machine]]", cls)(node)

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

    async def quit(self, *, handover: bool = True) -> None:
        """Stop this node. It stays a member, and a later `bootstrap` on its store resumes.

        A leader hands its office to the voter that has most of the log first, which takes it some
        round trips, two election timeouts at most. Where there is nobody to take it, it stops at
        once. Returns once port, threads and store are released; what still waits fails with
        NodeStopped. If this call is cancelled the node stops all the same.

        Args:
            handover: False: stop at once, and leave it to the others to notice.
        """
        flag("handover", handover)
        await self._node.quit(handover=handover)

    async def leave(self, *, timeout: float | None = None, force: bool = False) -> None:
        """Remove this node from its cluster, then stop it. Its id is never used again.

        A leader hands its office over first. While another change is under way it waits its turn.
        The node stops once more than half of the voters that stay know on their disks that it was
        removed: until then they may need its vote to find out. If this call is cancelled the node
        goes on; if it was removed all the same, it ends once they know, by NodeRemoved unless this
        call had heard of it.

        Args:
            timeout: seconds; None: `Config.conf_change_request_timeout`.
            force: also if too few of the voters left are there to commit anything; and stop without
                waiting for those that are not heard of.

        Raises:
            ConfChangeRejected: it is the last voter; use `quit`. Or it was refused for the reason
                that `force` is for. Or the configuration is joint until `leave_joint` is called.
            NoLeader: nobody could carry it out within `timeout` seconds; the node goes on.
            DeadlineExceeded: it was removed, and too few of the others said so within `timeout`
                seconds; the node goes on until they do, and `run` ends then without an error.
            NodeStopped: it was stopped otherwise before they did.
        """
        await leaving.leave(self._node, timeout=timeout, force=force)

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
            ConfigError: an address cannot be read, or another argument is wrong.
            NoLeader: nobody there could answer within `timeout` seconds.
            JoinRejected: the address is that of a member.
        """
        return await joining.request_id(
            raft_addr,
            peer_addr,
            identity=identity,
            timeout=timeout,
            config=Config() if config is None else config,
        )

    async def join_cluster(
        self, tickets: Sequence[ClusterJoinTicket], *, timeout: float | None = None
    ) -> None:
        """Make the nodes of `tickets` members, in one change; usually just this one.

        The node must be running. Safe to repeat, also after a crash in the middle. Returns once
        this node knows that it is a member.

        Raises:
            ConfigError: what is given are no tickets.
            JoinRejected: the tickets are not for this cluster, or an id is used up.
            NoLeader: no leader took it within `timeout` seconds.
        """
        await joining.join(self._node, tickets, timeout=timeout)
