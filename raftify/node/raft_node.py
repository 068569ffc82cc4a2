"""The life of one node: keeps the tasks of its parts under watch, and ends them in order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any

from raftify.core.types import INVALID_ID, Role
from raftify.errors import DeadlineExceeded, NodeRemoved, NodeStopped, RaftifyError, StorageError
from raftify.node.assembly import Assembly
from raftify.node.endings import settle, uninterrupted
from raftify.node.founding import release_store, waits_for_nobody
from raftify.node.local_state import RunningState
from raftify.node.peer_endpoint import PeerEndpoint
from raftify.node.place_watch import watch_place
from raftify.node.switches import Switches
from raftify.node.ticker import tick_for_ever
from raftify.state_machine import Machine_co
from raftify.transport.interface import Handshake


class RaftNode(Assembly[Machine_co]):
    """Everything of one node between the facade and the core. Made and run on one event loop.

    The store must have been initialised. The node owns it from here on, and closes it at its end.
    """

    #: How many ask for this node to be removed, on its behalf: it is no failure then.
    leaving = 0
    _refused: RaftifyError | None = None
    _quit_before_run = False

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
                await self.api.succession.hand_over_before_end()
        finally:
            self._stop.set()
        await self._finished.wait()

    async def knock(self, *, for_seconds: float) -> bool:
        """Ask the others whether they still have this node; say whether enough of them have
        refused it within `for_seconds`. It stops then.

        Raises:
            NodeStopped: it stopped for another reason.
        """
        if self.state.told_of_removal:
            return True
        if self.state.running is RunningState.RUNNING:
            self._standing.call_everybody()
        with suppress(DeadlineExceeded):
            await self.state.wait_until(
                lambda: self.state.told_of_removal, timeout=max(for_seconds, 0), what="a refusal"
            )
        return self.state.told_of_removal

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
            is_leaving=lambda: self.leaving > 0,
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
            work["place"] = watch_place(check, self._workers.storage)
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
        timeout = self.config.shutdown_timeout
        if not await self._workers.close(timeout=timeout, logger=self.logger):
            return
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
        if isinstance(error, NodeRemoved):
            # Who asked this node for it has the answer before the node ends.
            self.state.told_of_removal = True
            self.state.notify()
        if not (self.leaving and isinstance(error, NodeRemoved)):
            self._refused = error
        self._stop.set()
