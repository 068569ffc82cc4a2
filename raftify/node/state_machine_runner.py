"""Calls the user's state machine: plain functions on its own thread, coroutines on the loop.

What it raises becomes a StateMachineError, after which the node stops.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import BinaryIO, TypeVar

from raftify.core.types import SnapshotMetadata
from raftify.errors import NodeStopped, QueryFailed, RaftifyError, StateMachineError
from raftify.node.worker import Worker
from raftify.records import SnapshotSink
from raftify.state_machine import AbstractStateMachine, StreamingStateMachine

T = TypeVar("T")

#: Pieces in which a snapshot's bytes go to its file.
WRITE_BYTES = 1 << 20
#: Results are handed out after this many seconds, however many entries are left: whoever waits for
#: the first need not wait for the last, nor does the end of the node.
BATCH_SECONDS = 0.02
#: How long a run of quick coroutines may keep the event loop before others get a turn, in seconds.
LOOP_SHARE_SECONDS = 0.002


class StateMachineRunner:
    """The only caller of the user's `apply`, `snapshot` and `restore`; its calls never overlap."""

    def __init__(self, state_machine: AbstractStateMachine, worker: Worker, writer: Worker) -> None:
        self.state_machine = state_machine
        self._worker = worker
        self._writer = writer
        self._lock = asyncio.Lock()
        self._is_torn = False
        self._apply_is_async = inspect.iscoroutinefunction(state_machine.apply)

    async def apply(self, first_index: int, payloads: Sequence[bytes | None]) -> list[bytes]:
        """Apply consecutive entries from `first_index` on; return a result for each, or for the
        first of them if it takes long.

        None stands for an entry that is not the state machine's; its result is empty.
        """
        async with self._changing():
            if self._apply_is_async:
                return await self._apply_on_loop(first_index, payloads)
            return await self._worker.run(self._apply_on_thread, first_index, payloads)

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """Hold the state machine while it changes.

        One that is broken off in the middle, by an error or by the end of the node, is at no index
        any more: nobody may take a snapshot of it, or entries would be applied twice.
        """
        async with self._lock:
            self._is_torn = True
            yield
            self._is_torn = False

    async def _apply_on_loop(
        self, first_index: int, payloads: Sequence[bytes | None]
    ) -> list[bytes]:
        apply = self.state_machine.apply
        loop = asyncio.get_running_loop()
        began = loop.time()
        pause_at, end_at = began + LOOP_SHARE_SECONDS, began + BATCH_SECONDS
        results: list[bytes] = []
        for payload in payloads:
            if payload is None:
                results.append(b"")
                continue
            try:
                result = await apply(payload)  # type: ignore[misc]  # known to be a coroutine
            except Exception as error:
                raise self._failure("apply", first_index + len(results), error) from error
            results.append(self._checked(result, first_index + len(results)))
            now = loop.time()
            if now > end_at:
                break
            # Coroutines that never wait would otherwise keep heartbeats from their turn.
            if now > pause_at:
                await asyncio.sleep(0)
                pause_at = loop.time() + LOOP_SHARE_SECONDS
        return results

    def _apply_on_thread(self, first_index: int, payloads: Sequence[bytes | None]) -> list[bytes]:
        # The event loop's own clock is not for other threads: uvloop's is not safe there.
        clock = self._worker.clock
        apply = self.state_machine.apply
        end_at = clock() + BATCH_SECONDS
        results: list[bytes] = []
        for payload in payloads:
            if payload is None:
                results.append(b"")
                continue
            try:
                result = apply(payload)
            except Exception as error:
                raise self._failure("apply", first_index + len(results), error) from error
            results.append(self._checked(result, first_index + len(results)))
            if clock() > end_at:
                break
        return results

    async def snapshot(
        self, capture: Callable[[], SnapshotMetadata | None], sink: SnapshotSink
    ) -> SnapshotMetadata | None:
        """Write the state to `sink`; return what `capture` said at that very state.

        `capture` is called while nothing is being applied; if it returns None, nothing is written.
        The bytes that `snapshot` returned are written after the state machine may go on.
        """
        machine = self.state_machine
        async with self._lock:
            self._check_whole()
            metadata = capture()
            if metadata is None:
                return None
            if isinstance(machine, StreamingStateMachine):
                await self._guard(
                    "snapshot", metadata.index, self._worker.run(machine.write_snapshot, sink)
                )
                return metadata
            data = await self._bytes_of_snapshot(metadata.index)
        await self._writer.run(_write_pieces, sink, data)
        return metadata

    async def query(self, data: bytes) -> bytes:
        """Return what the state machine answers; raise QueryFailed with what it raised."""
        return await self._asked("query", self.state_machine.query, data)

    async def encode(self) -> bytes:
        """Return the state machine as bytes; raise QueryFailed with what its `encode` raised."""
        return await self._asked("encode", self.state_machine.encode)

    async def _asked(self, operation: str, ask: Callable[..., object], *arguments: object) -> bytes:
        """Return the bytes that `ask` answers with. What it raises stops nothing: QueryFailed."""
        name = f"{operation} of {type(self.state_machine).__name__}"
        try:
            if inspect.iscoroutinefunction(ask):
                async with self._lock:
                    self._check_whole()
                    answer: object = await ask(*arguments)
            else:
                answer = await self._ask_on_thread(ask, *arguments)
        except NodeStopped:
            raise
        except Exception as error:
            raise QueryFailed(f"{name} raised {type(error).__name__}: {error}") from error
        if not isinstance(answer, bytes | bytearray | memoryview):
            raise QueryFailed(f"{name} returned {type(answer).__name__}, not bytes")
        return bytes(answer)

    async def _ask_on_thread(self, ask: Callable[..., object], *arguments: object) -> object:
        """Return what `ask` returns on the thread.

        A caller may give up meanwhile, which does not end it there: the state machine is held until
        it has returned, or a coroutine of it would run beside it.
        """
        await self._lock.acquire()
        try:
            self._check_whole()
            asked = self._worker.run(ask, *arguments)
        except BaseException:
            self._lock.release()
            raise
        asked.add_done_callback(self._release)
        return await asyncio.shield(asked)

    def _release(self, asked: asyncio.Future[object]) -> None:
        self._lock.release()
        if not asked.cancelled():
            asked.exception()  # nobody may be waiting for it any more

    def _check_whole(self) -> None:
        if self._is_torn:
            raise NodeStopped("the state machine was stopped in the middle of an entry")

    async def restore(self, index: int, file: BinaryIO) -> None:
        """Replace the state by that in `file`."""
        machine = self.state_machine
        async with self._changing():
            await self._guard("restore", index, self._restore(machine, file))

    async def _restore(self, machine: AbstractStateMachine, file: BinaryIO) -> None:
        if isinstance(machine, StreamingStateMachine):
            await self._worker.run(machine.read_snapshot, file)
            return
        data = await self._worker.run(file.read)
        if inspect.iscoroutinefunction(machine.restore):
            await machine.restore(data)
        else:
            await self._worker.run(machine.restore, data)

    async def _bytes_of_snapshot(self, index: int) -> bytes:
        machine = self.state_machine
        call: Awaitable[object]
        if inspect.iscoroutinefunction(machine.snapshot):
            call = machine.snapshot()
        else:
            call = self._worker.run(machine.snapshot)
        data = await self._guard("snapshot", index, call)
        if not isinstance(data, bytes | bytearray | memoryview):
            error = TypeError(f"snapshot returned {type(data).__name__}, not bytes")
            raise self._failure("snapshot", index, error)
        return bytes(data)

    async def _guard(self, operation: str, index: int, call: Awaitable[T]) -> T:
        try:
            return await call
        except RaftifyError:
            raise  # the sink's own: a full disk is not the state machine's fault
        except Exception as error:
            raise self._failure(operation, index, error) from error

    def _checked(self, result: object, index: int) -> bytes:
        if isinstance(result, bytes):
            return result
        if result is None:
            return b""
        if isinstance(result, bytearray | memoryview):
            return bytes(result)
        error = TypeError(f"apply returned {type(result).__name__}, not bytes")
        raise self._failure("apply", index, error)

    def _failure(self, operation: str, index: int, error: Exception) -> StateMachineError:
        name = type(self.state_machine).__name__
        return StateMachineError(
            f"{operation} of {name} raised {type(error).__name__} at index {index}: {error}",
            index=index,
            operation=operation,
        )


def _write_pieces(sink: SnapshotSink, data: bytes) -> None:
    view = memoryview(data)
    for start in range(0, len(data), WRITE_BYTES):
        sink.write(bytes(view[start : start + WRITE_BYTES]))
