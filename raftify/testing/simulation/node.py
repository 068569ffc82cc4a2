"""One simulated machine: its disk, its clock, and the process of the real runtime on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

from raftify.config import Config
from raftify.core.types import Entry, Message, Snapshot
from raftify.errors import NodeStopped, OutcomeUnknown, RaftifyError
from raftify.node.founding import prepare_store
from raftify.node.raft_node import RaftNode
from raftify.peers import Address, ReservedId
from raftify.raft import Raft
from raftify.state_machine import Machine_co
from raftify.testing.simulation.calls import Calls
from raftify.testing.simulation.disk import SimulatedDisk
from raftify.testing.simulation.exchange import Host
from raftify.testing.simulation.noted import NotedSeconds
from raftify.testing.simulation.process import Process
from raftify.testing.simulation.trace import Kept, fingerprint
from raftify.testing.simulation.transport import SimulatedTransport
from raftify.testing.simulation.view import Door, View
from raftify.testing.simulation.watched_node import WatchedNode
from raftify.testing.simulation.worker import Pace, SimulatedWorker, draw_pace, draw_reads

if TYPE_CHECKING:
    from raftify.testing.simulation.cluster import SimulatedCluster

T = TypeVar("T")

#: How an end by a crash and by `stop` are called.
CRASH, STOP = "crash", "stop"
#: Among the workers, in the order of `Workers`.
_STORAGE: Final = 0


class SimulatedNode(Generic[Machine_co]):
    """A machine of a SimulatedCluster. Made and started by the cluster.

    Attributes:
        id: its Raft id; a wiped machine joins again under another.
        name: of the machine, for ever the same; in traces, and in addresses.
        incarnation: counts the processes that were started on it: 1, 2, ...
        machine: the user's state machine; a new one in each process.
        failure: what the last process ended with by itself; None otherwise.
        released: whether the last process that ended by itself had let go of disk and address; one
            whose disk hangs cannot.
        last_end: how the last process ended that did: CRASH, STOP, or its error's name.
        disk_pace, apply_pace: seconds that a disk write, and a batch of `apply`, take on average.
    """

    disk_pace = NotedSeconds("a disk write")
    apply_pace = NotedSeconds("a batch of apply")

    def __init__(
        self, cluster: SimulatedCluster[Machine_co], node_id: int, name: str, address: str
    ) -> None:
        self.cluster = cluster
        self.id = node_id
        self.name = name
        self.address = address
        self.random = Random(cluster.random.getrandbits(64))
        self.storage = SimulatedDisk(
            Random(self.random.getrandbits(64)), name, note=self._note_disk, taken=self._note_taken
        )
        self.config: Config | None = None
        self.incarnation = 0
        self.machine: Machine_co
        self.failure: BaseException | None = None
        self.released = False
        self.last_end = ""
        self.disk_pace = 0.001
        self.apply_pace = 0.0001
        self.process: Process | None = None
        #: What runs `Raft.run`; of the last process, perhaps dead.
        self.task: asyncio.Task[None] | None = None
        self.view = View(self)
        self.watched: WatchedNode[Machine_co] | None = None
        self.facade: Raft[Machine_co] | None = None
        self._host = Host(name, None)
        self._paces: list[Pace] = []
        self._workers: list[SimulatedWorker] = []
        self._calls = Calls(cluster.loop)
        self._ended: asyncio.Event = asyncio.Event()

    def __repr__(self) -> str:
        return f"<{self.name}: node {self.id}, {'running' if self.running else 'down'}>"

    def describe(self) -> str:
        """Return how it is doing: who it is, whether it runs, and what it knows."""
        if not self.running or self.watched is None:
            failed = f", {self.failure!r}" if self.failure is not None else ""
            return f"{self.name} is down ({self.last_end or 'never started'}{failed})"
        state = self.watched.state
        return (
            f"{self.name} (node {self.id}{', paused' if self.paused else ''}) is "
            f"{state.role.name.lower()} in term {state.term}, its leader is "
            f"{state.leader_id or 'nobody'}, applied {state.applied} of {state.committed}"
        )

    @property
    def running(self) -> bool:
        """Whether a process runs on it, paused or not."""
        return self.process is not None

    @property
    def paused(self) -> bool:
        return self.process is not None and self.process.paused

    @property
    def leads(self) -> bool:
        """Whether it runs, is not paused, and believes to lead."""
        process, watched = self.process, self.watched
        if process is None or watched is None or process.paused:
            return False
        return watched.state.is_leader

    @property
    def runtime(self) -> RaftNode[Machine_co]:
        """The runtime of the last process that was started, perhaps dead."""
        assert self.watched is not None, f"{self.name} was never started"
        return self.watched

    @property
    def raft(self) -> Raft[Machine_co]:
        """The node's `Raft`, as the program that runs there has it.

        Its waiting calls run in the node's process. If that dies first they raise OutcomeUnknown.
        """
        return cast("Raft[Machine_co]", Door(self))

    # -- life -------------------------------------------------------------------------------

    def start(self, ticket_id: int | None = None, address: str | None = None) -> None:
        """Start a process on its disk, as it is.

        Raises:
            StorageError: the disk is not one to start from.
        """
        if self.running:
            raise NodeStopped(f"{self.name} runs already")
        self.id = self.id if ticket_id is None else ticket_id
        self.address = address or self.address
        self.incarnation += 1
        self.view.applied = 0
        self.failure = None
        process = self.cluster.loop.process(f"{self.name}.{self.incarnation}")
        self._host = Host(self.name, process)
        try:
            process.run(self._boot, process, ticket_id is not None)
        except RaftifyError as error:
            self.failure = error
            self.cluster.loop.kill(process)
            self.storage.crash(power_lost=False)
            raise
        self.process = process
        self._ended = asyncio.Event()
        self.cluster.watch_start(self)

    def _boot(self, process: Process, is_joiner: bool) -> None:  # noqa: FBT001 - private
        cluster, random = self.cluster, Random(self.random.getrandbits(64))
        config = cluster.config_of(self)
        store = self.storage.open(config, cluster.logger)
        prepare_store(
            store,
            node_id=ReservedId(self.id) if is_joiner else self.id,
            address=Address.parse(self.address),
            config=config,
            logger=cluster.logger,
            make_incarnation=lambda: f"{random.getrandbits(128):032x}",
        )
        self.machine = cluster.make_machine()
        paces = [lambda: self.disk_pace, lambda: self.apply_pace, lambda: self.disk_pace]
        self._paces = [Pace(draw_pace(random, pace)) for pace in paces]
        reads = draw_reads(Random(random.getrandbits(64)))
        self._workers = [
            SimulatedWorker(cluster.loop, process, self._paces[_STORAGE], reads),
            *(SimulatedWorker(cluster.loop, process, pace) for pace in self._paces[1:]),
        ]
        transport = SimulatedTransport(
            cluster.network, self._host, self.address, config, random, self._watch_send
        )
        self.watched = WatchedNode(
            self,
            address=self.address,
            config=config,
            storage=store,
            state_machine=self.machine,
            transport=transport,
            random=Random(random.getrandbits(64)),
            logger=cluster.logger,
            workers=self._workers,
        )
        self.watched.state.on_change = self.watch_step
        self.facade = Raft(self.watched)
        self.task = cluster.loop.create_task(self._live(self.facade), name="run")

    async def _live(self, raft: Raft) -> None:
        how = STOP
        try:
            await raft.run()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the process ends
            self.failure = error
            how = type(error).__name__
        # Not in a `finally`: a process that is killed does not come here.
        self._end(how)

    def crash(self, *, power_lost: bool = True) -> None:
        """End as by a power failure, or with `power_lost` false as by kill -9: at once.

        Nothing more is sent, written or applied, and nothing is tidied up.
        """
        if self.running:
            self.storage.crash(power_lost=power_lost)
            self._die(power_lost=power_lost)

    def _die(self, *, power_lost: bool) -> None:
        self.cluster.note(f"{self.name} {'loses power' if power_lost else 'is killed'}")
        self._end(CRASH)

    def crash_after(self, callbacks: int, *, power_lost: bool = True) -> None:
        """Crash after so many callbacks of its process: at one of the very next `await`s.

        `power_lost` as in `crash`; so with `crash_in_write`.
        """
        if self.process is not None:
            self.cluster.note(f"{self.name} is to crash after {callbacks} callbacks")
            crash = partial(self.crash, power_lost=power_lost)
            self.cluster.loop.crash_after(self.process, callbacks, crash)

    def crash_in_write(self, writes: int, *, power_lost: bool = True) -> None:
        """Crash in the middle of the disk write number `writes` from now; 0 is the next."""
        if self.running:
            self.cluster.note(f"{self.name} is to crash in its disk write {writes} from now")
            die = partial(self._die, power_lost=power_lost)
            self.storage.crash_after(writes, die, power_lost=power_lost)

    def defuse(self) -> None:
        """Take back a `crash_after` or `crash_in_write` that has not happened yet."""
        if self.process is not None:
            self.process.defuse()
            if self.storage.is_open:
                self.storage.crash_after(-1)

    async def stop(self, *, handover: bool = True) -> None:
        """End orderly, as `Raft.quit` does; the node stays a member."""
        if self.running:
            ended = self._ended
            with suppress(OutcomeUnknown):
                # Its process may be gone before the call has its answer.
                await self.raft.quit(handover=handover)
            await ended.wait()

    async def leave(self, *, timeout: float | None = None, force: bool = False) -> None:
        """Leave the cluster for good, see `Raft.leave`."""
        ended, facade = self._ended, self.facade
        assert facade is not None
        with suppress(OutcomeUnknown):
            await self.raft.leave(timeout=timeout, force=force)
            await ended.wait()

    async def ended(self) -> None:
        """Wait until the process that runs now has ended, however it does."""
        if self.running:
            await self._ended.wait()

    async def outcome(self) -> None:
        """The same, and raise what it ended with by itself."""
        await self.ended()
        if self.failure is not None:
            raise self.failure

    def pause(self) -> None:
        """Stand still as by SIGSTOP, until `resume`."""
        if self.process is not None and not self.process.paused:
            self.cluster.loop.pause(self.process)
            self.cluster.note(f"pause {self.name}")

    def resume(self) -> None:
        """Go on after `pause`."""
        if self.process is not None and self.process.paused:
            self.cluster.loop.resume(self.process)
            self.cluster.note(f"resume {self.name}")

    def set_clock(self, *, rate: float = 1.0, jump: float = 0.0) -> None:
        """Let its clock run at `rate` seconds a second from now on, after a jump in seconds."""
        if self.process is not None and (jump or rate != self.process.rate):
            self.cluster.loop.set_clock(self.process, rate=rate, jump=jump)
            self.cluster.note(f"clock of {self.name}: rate {rate:g}, jump {jump:g} s")

    def stall(self, *, disk: bool = True) -> None:
        """Let its disk, or with `disk` false its state machine, hang until `unstall`."""
        self._set_stalled(disk=disk, stalled=True)

    def unstall(self) -> None:
        """Let disk and state machine work again."""
        self._set_stalled(disk=True, stalled=False)
        self._set_stalled(disk=False, stalled=False)

    def _set_stalled(self, *, disk: bool, stalled: bool) -> None:
        self.cluster.note(f"{'stall' if stalled else 'unstall'} {self.name}")
        for at in (0, 2) if disk else (1,):
            if at < len(self._paces):
                self._paces[at].stalled = stalled
                self._workers[at].poke()

    def write_hangs_for(self) -> float:
        """Return for how many seconds, by its own clock, a disk write of the log is under way."""
        if self.process is None or self.watched is None:
            return 0.0
        return self.process.run(self.watched.write_hangs_for)

    def silence_of(self, node_id: int) -> float | None:
        """Return the seconds, by its own clock, since it took a message of that node; None if it
        never did."""
        if self.process is None or self.watched is None:
            return None
        return self.process.run(self.watched.silence_of, node_id)

    def wipe(self) -> None:
        """Crash, and lose the disk: what starts on it now is another node."""
        self.crash()
        self.storage.wipe()
        self.cluster.note(f"wipe {self.name}")

    def abandon(self) -> None:
        """Kill what runs without telling anybody: the simulation is over."""
        process, self.process = self.process, None
        if process is not None:
            self.cluster.loop.kill(process)

    def _end(self, how: str) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        self.last_end = how
        if how != CRASH:
            self.cluster.check_left_over(self, process)
            listening = self.cluster.network.port(self.address)
            is_ours = listening is not None and listening.host is self._host
            self.released = not self.storage.is_open and not is_ours
            self.storage.crash(power_lost=False)
        self.cluster.loop.kill(process)
        self.cluster.network.close_all_of(self._host)
        self._calls.fail(lambda: OutcomeUnknown(f"{self.name} ended ({how}) before it answered"))
        self._ended.set()
        self.cluster.watch_end(self, how)

    # -- calls from outside -----------------------------------------------------------------

    async def call(self, begin: Callable[[Raft[Machine_co]], Awaitable[T]]) -> T:
        """Return what `begin(raft)` brings, which runs in this node's process.

        Raises:
            NodeStopped: it does not run.
            OutcomeUnknown: it ended meanwhile.
        """
        process, facade = self.process, self.facade
        if process is None or facade is None:
            raise NodeStopped(f"{self.name} does not run")
        return await self._calls.make(process, lambda: begin(facade))

    async def applied(self, index: int, timeout: float = 60.0) -> None:
        """Wait until its state machine has applied everything up to `index`."""
        await self.call(lambda raft: raft.wait(timeout).applied_index_at_least(index))

    # -- what the cluster is told -----------------------------------------------------------

    def _watch_send(self, message: Message) -> None:
        self.cluster.watch_send(self, message)

    def before_read(self) -> None:
        # The rest of the step would go on in a process that is dead.
        if not self.storage.crash_is_set:
            self._workers[_STORAGE].before_read()

    def watch_receive(self, message: Message) -> None:
        self.cluster.watch_receive(self, message)

    def _note_disk(self, fault: str) -> None:
        self.cluster.note(f"disk of {self.name}: {fault}")

    def _note_taken(self, what: str, content: Sequence[bytes]) -> None:
        self.cluster.trace.add(Kept(self.cluster.now, self.name, what, fingerprint(*content)))

    def watch_step(self) -> None:
        self.cluster.watch_step(self)

    def watch_apply(self, entries: Sequence[Entry], results: Sequence[bytes]) -> None:
        self.view.applied = entries[-1].index
        self.cluster.watch_apply(self, entries, results)

    def watch_restore(self, snapshot: Snapshot) -> None:
        self.view.applied = snapshot.metadata.index
        self.cluster.watch_restore(self, snapshot)
