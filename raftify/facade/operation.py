"""What operators and tests look at and set in motion."""

from __future__ import annotations

from typing import Generic

from raftify.client.arguments import message as checked_message
from raftify.client.arguments import seconds, whole
from raftify.core.types import Message
from raftify.errors import ConfigError
from raftify.node.metrics import Metrics
from raftify.node.raft_node import RaftNode
from raftify.node.report import with_decoded
from raftify.node.switches import Switches
from raftify.node.telling import EntryDecoder
from raftify.state_machine import Machine_co
from raftify.storage.base import StableStorage
from raftify.transport.arrivals import check_single
from raftify.waiting import Wait, Watch


class Operation(Generic[Machine_co]):
    """Snapshots, and a look inside."""

    _node: RaftNode[Machine_co]

    async def make_snapshot(self, *, timeout: float | None = None) -> int:
        """Take a snapshot of this node's state machine now; return the index it covers.

        Raises:
            SnapshotTemporarilyUnavailable: the membership is just changing, or a snapshot is being
                received; try again.
            DeadlineExceeded: it was not done within `timeout` seconds; it goes on.
            NodeStopped: the node is not running.
        """
        node = self._node
        timeout = seconds(timeout, node.config.snapshot_timeout)
        return await node.api.create_snapshot(timeout=timeout)

    async def purge_log(self, index: int, *, timeout: float | None = None) -> int:
        """Discard this node's log up to `index`, as far as its latest snapshot covers it.

        A follower that needs what is gone gets the snapshot. Returns the last index that is
        discarded by now.

        Raises:
            ConfigError: `index` is no index.
            DeadlineExceeded: it was not done within `timeout` seconds; it goes on.
        """
        whole("index", index)
        node = self._node
        timeout = seconds(timeout, node.config.snapshot_timeout)
        return await node.api.purge_log(index, timeout=timeout)

    async def ping(self, *, timeout: float | None = None) -> None:
        """As the leader, send a heartbeat to everybody now; returns when it is on its way.

        Raises:
            NotLeader: this node does not lead.
        """
        node = self._node
        await node.api.ping(timeout=seconds(timeout, node.config.request_timeout))

    async def send_message(self, message: Message, *, timeout: float | None = None) -> None:
        """Hand one Raft message to this node, as if it had come from the member in its `from_`.

        For tools and tests: a message that no member would send may break the cluster.

        Raises:
            ConfigError: it is no Message, or a field of it cannot be sent.
            MalformedMessage: it cannot be of this protocol.
            PeerRefused: it is for another node.
            StepLocalMessage: a node tells such messages only itself.
        """
        node = self._node
        wanted = checked_message(message)
        check_single(wanted, to_id=node.state.node_id)
        timeout = seconds(timeout, node.config.request_timeout)
        await node.api.send_message(wanted, timeout=timeout)

    @property
    def switches(self) -> Switches:
        """What this node does by itself; each may be turned off while it runs."""
        return self._node.switches

    def state_machine(self) -> Machine_co:
        """Return this node's state machine, the very object that `bootstrap` was given.

        Reading it sees what has been applied here; `read_index` first makes that a linearizable
        read. Only `apply` may change it.
        """
        return self._node.state_machine

    def storage(self) -> StableStorage:
        """Return this node's store, to be read only: the node alone writes to it."""
        return self._node.storage

    def inspect(self, *, decoder: EntryDecoder | None = None) -> dict[str, object]:
        """Return the node's inner state as plain values, for people and for tests.

        `state_machine` is what its `repr` says. Under `last_entries` are the last entries of the
        log, with their bytes in hexadecimal unless there are too many.

        Args:
            decoder: the class of the program's log entries, or a function from bytes to anything
                that `str` shows well: each proposal then has `entry`, its text, or `decode_fault`,
                what the decoder raised.

        Raises:
            ConfigError: `decoder` is neither.
        """
        report = self._node.report()
        return report if decoder is None else with_decoded(report, decoder)

    def metrics(self) -> Metrics:
        """Return what the node says of itself now: an immutable value, taken without waiting."""
        return self._node.gauge.read()

    def watch(self, *, interval: float = 0.1) -> Watch:
        """Follow the node: yield its metrics now, at each change, and once more when it has ended.

            async for metrics in raft.watch():
                print(metrics.term, metrics.leader_id)

        Changes that follow each other within `interval` seconds are told as one. Ages alone are no
        change. A consumer that is slow holds nothing up; it misses what lay between.
        """
        if isinstance(interval, bool) or not isinstance(interval, int | float) or interval < 0:
            raise ConfigError(f"interval is a number of seconds from 0 upwards, not {interval!r}")
        # 0 is no time to wait for, but may stand between two changes.
        return Watch(self._node, seconds(interval or None, 0.0))

    def wait(self, timeout: float | None = None) -> Wait:
        """Wait for something of this node, for at most `timeout` seconds:

            await raft.wait(10).applied_index_at_least(index)

        Without a timeout it is `Config.proposal_timeout`.
        """
        return Wait(self._node, seconds(timeout, self._node.config.proposal_timeout))
