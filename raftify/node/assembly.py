"""What a node is made of, and which part knows which."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, Generic

from raftify.config import Config
from raftify.core.config import RaftConfig
from raftify.core.raw_node import RawNode
from raftify.errors import ConfigError
from raftify.node.applier import Applier
from raftify.node.background import Background
from raftify.node.core_storage import CoreStorage
from raftify.node.core_task import CoreTask
from raftify.node.feedback import Feedback
from raftify.node.inbox import Inbox
from raftify.node.leader_calls import LeaderCalls
from raftify.node.local_api import LocalApi
from raftify.node.local_state import LocalState
from raftify.node.metrics import Gauge
from raftify.node.persister import Persister
from raftify.node.report import describe_node
from raftify.node.snapshotter import Snapshotter
from raftify.node.standing import Standing, is_forgotten
from raftify.node.state_machine_runner import StateMachineRunner
from raftify.node.whereabouts import Whereabouts
from raftify.node.worker import Worker
from raftify.node.workers import Workers
from raftify.state_machine import Machine_co
from raftify.storage.base import StableStorage
from raftify.transport.interface import RemoteNode, Transport


class Assembly(Generic[Machine_co]):
    """The parts of one node between the facade and the core, put together and not yet running."""

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
        self._last_report: dict[str, object] = {}
        #: Set to end the node, and once it has ended.
        self._stop, self._finished = asyncio.Event(), asyncio.Event()
        self.whereabouts = Whereabouts(self.state, transport, config.initial_peers)
        self.background = Background(identity.node_id, logger)
        self._workers = Workers(*workers) if workers else Workers.threads()
        self._inbox = Inbox(config.inbox_limit)
        self._feedback = self._make_feedback(
            state=self.state,
            inbox=self._inbox,
            storage=storage,
            storage_worker=self._workers.storage,
            background=self.background,
        )
        core_storage = CoreStorage(storage, self._feedback.on_snapshot_missing)
        self._raw = self._make_raw(core_storage, random)
        self._build_core_and_its_workers(core_storage)
        self._build_doors()

    def _settings_of_core(self) -> RaftConfig:
        settings = self.config.raft_config
        return replace(
            settings,
            id=self.state.node_id,
            applied=self.storage.latest_snapshot().metadata.index,
            skip_bcast_commit=settings.skip_bcast_commit or self.config.commit_notice_delay > 0,
        )

    def _make_feedback(self, **parts: Any) -> Feedback:
        return Feedback(**parts)

    def _make_raw(self, core_storage: CoreStorage, random: Random) -> RawNode:
        return RawNode(self._settings_of_core(), core_storage, random=random)

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
        self.runner = StateMachineRunner(
            self.state_machine, self._workers.machine, self._workers.writer
        )
        self._persister = Persister(self.storage, self._workers.storage, self._core.on_persisted)
        self._applier = Applier(
            self.storage, self.runner, self._feedback.on_applied, self._feedback.on_restored
        )
        self._core.attach(self._persister, self._applier)
        self._snapshotter = Snapshotter(
            config=self.config,
            state=self.state,
            storage=self.storage,
            runner=self.runner,
            storage_worker=self._workers.storage,
            writer=self._workers.writer,
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
        self.api.departures.attach(self.leader)
        self._standing = Standing(
            state=self.state,
            transport=self._transport,
            leader=self.leader,
            heard=self.whereabouts.heard,
            is_forgotten=lambda: is_forgotten(self._raw.raft),
            config=self.config,
            background=self.background,
            logger=self.logger,
        )

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
