"""One node: puts its parts together, keeps its tasks under watch, and ends them in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Generic

from raftify.config import Config
from raftify.core.raw_node import RawNode
from raftify.core.types import INVALID_ID, Role
from raftify.errors import ConfigError, NodeRemoved, NodeStopped, RaftifyError, StorageError
from raftify.node.applier import Applier
from raftify.node.background import Background
from raftify.node.core_storage import CoreStorage
from raftify.node.core_task import CoreTask
from raftify.node.endings import close_workers, settle, uninterrupted
from raftify.node.feedback import Feedback
from raftify.node.founding import release_store, waits_for_nobody
from raftify.node.handing_over import hand_over_before_end
from raftify.node.inbox import Inbox
from raftify.node.leader_calls import LeaderCalls
from raftify.node.local_api import LocalApi
from raftify.node.local_state import LocalState, RunningState
from raftify.node.metrics import Gauge
from raftify.node.peer_endpoint import PeerEndpoint
from raftify.node.persister import Persister
from raftify.node.place_watch import watch_place
from raftify.node.report import describe_node
from raftify.node.snapshotter import Snapshotter
from raftify.node.standing import Standing, is_forgotten
from raftify.node.state_machine_runner import StateMachineRunner
from raftify.node.switches import Switches
from raftify.node.ticker import tick_for_ever
from raftify.node.whereabouts import Whereabouts
from raftify.node.worker import ThreadWorker, Worker
from raftify.state_machine import Machine_co
from raftify.storage.base import StableStorage
from raftify.transport.interface import Handshake, RemoteNode, Transport


class RaftNode(Generic[Machine_co]):
    """Everything of one node between the facade and the core. Made and run on one event loop.

    The store must have been initialised. The node owns it from here on, and closes it at its end.
    """

    def __init__(
        self,
        *,
        address: str,
        config: Config,
        storage: StableStorage,
        state_machine: Machine_co,
        transport: Transport,
        random: Random,
        logger: logging.Logger,
        workers: Sequence[Worker] | None = None,
    ) -> None:
        identity = storage.identity()
        if identity is None:
            raise ConfigError("the store has not been initialised")
        self.config = config
        self.storage = storage
        self.state_machine = state_machine
        self.state = LocalState(identity, address, storage.membership())
        self._transport = transport
        self.logger = logger
        self.random = random
        self._stop = asyncio.Event()
        self._refused: RaftifyError | None = None
        #: Set while this node asks to be removed: being removed is then no failure.
        self.leaving = False
        self.was_refused_while_leaving = False
        self._finished = asyncio.Event()
        self._quit_before_run = False
        self._last_report: dict[str, object] = {}
        self.whereabouts = Whereabouts(self.state, transport, config.initial_peers)
        self.background = Background(identity.node_id, logger)
        self._storage_worker, self._machine_worker, self._writer = workers or (
            ThreadWorker("raftify-storage"),
            ThreadWorker("raftify-state-machine"),
            ThreadWorker("raftify-snapshot"),
        )
        self._inbox = Inbox(config.inbox_limit)
        self._feedback = self._make_feedback(
            state=self.state,
            inbox=self._inbox,
            storage=storage,
            storage_worker=self._storage_worker,
            background=self.background,
        )
        core_storage = CoreStorage(storage, self._feedback.on_snapshot_missing)
        self._raw = RawNode(
            replace(
                config.raft_config,
                id=identity.node_id,
                applied=storage.latest_snapshot().metadata.index,
                skip_bcast_commit=(
                    config.raft_config.skip_bcast_commit or config.commit_notice_delay > 0
                ),
            ),
            core_storage,
            random=random,
        )
        self._build_core_and_its_workers(core_storage)
        self._build_doors()

    def _make_feedback(self, **parts: Any) -> Feedback:
        return Feedback(**parts)

    def _build_core_and_its_workers(self, core_storage: CoreStorage) -> None:
        self._core = CoreTask(
            raw=self._raw,
            config=self.config,
            state=self.state,
            storage=self.storage,
            core_storage=core_storage,
            inbox=self._inbox,
            transport=self._transport,
            whereabouts=self.whereabouts,
            logger=self.logger,
        )
        self.runner = StateMachineRunner(self.state_machine, self._machine_worker, self._writer)
        self._persister = Persister(self.storage, self._storage_worker, self._core.on_persisted)
        self._applier = Applier(
            self.storage, self.runner, self._feedback.on_applied, self._feedback.on_restored
        )
        self._core.attach(self._persister, self._applier)
        self._snapshotter = Snapshotter(
            config=self.config,
            state=self.state,
            storage=self.storage,
            runner=self.runner,
            storage_worker=self._storage_worker,
            writer=self._writer,
            on_saved=self._feedback.on_snapshot_saved,
            logger=self.logger,
        )
        self._feedback.attach(self._raw, self._core.intake, self._snapshotter)

    def _build_doors(self) -> None:
        self.gauge = Gauge(
            config=self.config,
            state=self.state,
            raw=self._raw,
            storage=self.storage,
            contacts=self._core.contacts,
        )
        self.api = LocalApi(
            config=self.config,
            state=self.state,
            raw=self._raw,
            inbox=self._inbox,
            core=self._core,
            snapshotter=self._snapshotter,
            runner=self.runner,
            report=self.report,
        )
        self.leader = LeaderCalls(
            local=self.api,
            state=self.state,
            transport=self._transport,
            retry_interval=self.config.tick_interval,
        )
        self._standing = Standing(
            state=self.state,
            transport=self._transport,
            leader=self.leader,
            heard=self.whereabouts.heard,
            is_forgotten=lambda: is_forgotten(self._raw.raft),
            config=self.config,
            logger=self.logger,
        )

    # -- life -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until `quit`, or until something breaks.

        Raises:
            RaftifyError: what broke: StateMachineError, StorageError, AddressInUse, NodeRemoved...
        """
        if self._quit_before_run:
            return
        if self.state.running is not RunningState.NEW:
            raise NodeStopped("a node runs once; make a new one with Raft.bootstrap")
        self.state.loop = asyncio.get_running_loop()
        self.state.running = RunningState.STARTING
        try:
            await self._restore()
            if not self._stop.is_set():
                await self._start()
                self.state.running = RunningState.RUNNING
                self.state.notify()
                await self._watch_tasks()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.state.failure = error
            self.logger.error("node %d stops: %s", self.state.node_id, error)  # noqa: TRY400 - raised to the caller
            raise
        finally:
            await uninterrupted(self._end())

    async def quit(self, *, handover: bool = True) -> None:
        """Stop this node; the cluster keeps it as a member. Returns once all is released.

        A leader lets another voter take over first, unless told otherwise.
        """
        self.state.check_loop()
        if self.state.running is RunningState.NEW:
            self._quit_before_run = True
            await uninterrupted(self._end())
        try:
            if handover and self.state.running is RunningState.RUNNING:
                await hand_over_before_end(self.state, self.api, self.config)
        finally:
            self._stop.set()
        await self._finished.wait()

    @property
    def switches(self) -> Switches:
        return self._core.switches

    async def _restore(self) -> None:
        """Begin from the latest snapshot; `quit` does not wait for a restore to end."""
        snapshot = self.storage.latest_snapshot()
        if snapshot.is_empty():
            return
        name = f"raftify-{self.state.node_id}"
        work = asyncio.create_task(self._applier.restore_now(snapshot), name=f"{name}-restore")
        stop = asyncio.create_task(self._stop.wait(), name=f"{name}-stop")
        try:
            await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            await self._settle(work, stop)
        self.state.delivered = snapshot.metadata.index

    async def _start(self) -> None:
        identity = self.state.identity
        handshake = Handshake(
            identity.cluster_id, identity.node_id, identity.incarnation, 0, self.state.address
        )
        endpoint = PeerEndpoint(
            api=self.api,
            state=self.state,
            storage=self.storage,
            inbox=self._inbox,
            report_unreachable=self._raw.report_unreachable,
            report_snapshot=self._feedback.report_snapshot,
            on_met=self._feedback.on_met,
            whereabouts=self.whereabouts,
            on_refused=self._on_refused,
            is_leaving=lambda: self.leaving,
            ask_others=self._standing.call_everybody_soon,
            logger=self.logger,
        )
        await self._transport.start(handshake, endpoint)
        self.whereabouts.publish()
        if waits_for_nobody(self.state, self.storage, self.config):
            self._core.campaign_soon()

    async def _watch_tasks(self) -> None:
        ticked = (self._inbox.put_tick, self._snapshotter.on_tick, self._standing.on_tick)
        work: dict[str, Coroutine[object, object, None]] = {
            "core": self._core.run(),
            "storage": self._persister.run(),
            "applier": self._applier.run(),
            "snapshotter": self._snapshotter.run(),
            "ticker": tick_for_ever(self.config.tick_interval, ticked),
        }
        check = self.storage.place_check()
        if check is not None:
            work["place"] = watch_place(check, self._storage_worker)
        name = f"raftify-{self.state.node_id}"
        tasks = [asyncio.create_task(c, name=f"{name}-{n}") for n, c in work.items()]
        stop = asyncio.create_task(self._stop.wait(), name=f"{name}-stop")
        try:
            done, _ = await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
            self._raise_what_broke(done - {stop})
            await self._drain(tasks[1])
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                self.state.failure = error
            raise
        finally:
            # First of all: with the ticker gone nobody would notice a deadline.
            self._refuse_work()
            await self._settle(*tasks, stop)

    def _raise_what_broke(self, ended: Iterable[asyncio.Task[Any]]) -> None:
        for task in ended:
            task.result()
        if self._refused is not None:
            raise self._refused

    async def _settle(self, *tasks: asyncio.Task[Any]) -> None:
        await settle(tasks, timeout=self.config.shutdown_timeout, logger=self.logger)

    async def _drain(self, persisting: asyncio.Task[None]) -> None:
        """Let what was handed to the disk get there; no new work is taken."""
        self.state.running = RunningState.STOPPING
        self._persister.finish()
        _, late = await asyncio.wait([persisting], timeout=self.config.shutdown_timeout)
        if late:
            self.logger.warning("the disk did not finish its writes before the node stopped")
        else:
            persisting.result()

    def _refuse_work(self) -> None:
        """Answer everyone who waits, and from now on everyone who comes."""
        failed = self.state.failure is not None
        self.state.running = RunningState.FAILED if failed else RunningState.STOPPING
        # Who asks from here on must not be told that this node leads.
        self.state.role, self.state.leader_id = Role.FOLLOWER, INVALID_ID
        self._inbox.close(self.state.stopped_error())
        self._core.fail_everything(self.state.stopped_error)
        self.api.fail_callers(self.state.stopped_error)
        self.state.notify()

    async def _end(self) -> None:
        """Release everything. A part that fails to end must not keep the others from it."""
        self._refuse_work()
        try:
            for end in (self._standing.close, self.leader.close, self._stop_transport):
                try:
                    await end()
                except Exception:
                    self.logger.exception("node %d did not end cleanly", self.state.node_id)
            await self.background.end(timeout=self.config.shutdown_timeout)
            await self._close_store()
        finally:
            if self.state.failure is None:
                self.state.running = RunningState.STOPPED
            self.state.notify()
            self._finished.set()

    async def _stop_transport(self) -> None:
        await self._transport.stop(grace=0.5)

    async def _close_store(self) -> None:
        workers = (self._storage_worker, self._machine_worker, self._writer)
        late = await close_workers(workers, timeout=self.config.shutdown_timeout)
        if self._storage_worker in late or self._writer in late:
            # To close it now would be to wait for the disk on the event loop.
            self.logger.warning("the disk hangs: the store stays locked until this process ends")
            return
        if late:
            self.logger.warning("the state machine did not return before the node stopped")
        self._last_report = self.report()
        try:
            self.storage.close()
        except StorageError as error:
            # Of a node that ends because of its disk this is no news.
            if self.state.failure is None:
                raise
            self.logger.warning("the store did not close: %s", error)
        finally:
            release_store(self.storage)

    def _on_refused(self, error: RaftifyError) -> None:
        if self.leaving and isinstance(error, NodeRemoved):
            self.was_refused_while_leaving = True
        else:
            self._refused = error
        self._stop.set()

    def report(self) -> dict[str, object]:
        """Return the node's inner state as plain values; after its end, as it was then."""
        return self._last_report or describe_node(
            state=self.state,
            raw=self._raw,
            storage=self.storage,
            inbox=self._inbox,
            core=self._core,
            state_machine=self.state_machine,
            metrics=self.gauge.read(),
        )

    def connect(
        self, address: str, config: Config, *, cluster_id: str = "", to_id: int = 0
    ) -> RemoteNode:
        """Reach another node over this node's own transport, which knows its cluster."""
        return self._transport.connect(address, to_id=to_id)
