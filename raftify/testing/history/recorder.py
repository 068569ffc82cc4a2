"""Record what clients do, in a simulation, a process or a thread."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from raftify.errors import PeerUnreachable, Rejected
from raftify.testing.history.history import History
from raftify.testing.history.journal import call_line, return_line
from raftify.testing.history.operation import Operation, Outcome

#: After these, nothing happened and nothing will.
NOTHING_HAPPENED = (Rejected, PeerUnreachable)


class Recorder:
    """Records operations of any number of clients, of any number of threads.

    No two events of one recorder have the same time, so that an operation that follows another one
    is known to, whatever the clock's resolution.

    Args:
        clock: the present time in seconds. Recorders whose histories are to be merged need one
            clock: `time.monotonic` is the same for all processes of a Linux machine; in a
            simulation, take the virtual time that all nodes share.
        journal: write each event to this file at once, too, so that it outlives a killed process.
        nothing_happened: exceptions after which an operation certainly had no effect. All others
            leave its outcome unknown.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        journal: Path | str | None = None,
        nothing_happened: tuple[type[BaseException], ...] = NOTHING_HAPPENED,
    ) -> None:
        self.nothing_happened = nothing_happened
        self._clock = clock
        self._last = -math.inf
        self._calls: list[Call] = []
        self._lock = threading.Lock()
        self._journal: TextIO | None = None
        if journal is not None:
            self._journal = Path(journal).open("w", encoding="utf-8", buffering=1)  # noqa: SIM115 - `close` does

    def call(self, client: Hashable, asked: Any) -> Call:
        """Note that `client` now calls `asked`, and return what takes note of its end."""
        with self._lock:
            call = Call(self, len(self._calls), client, asked, self._now())
            if self._journal is not None:
                print(call_line(call.number, client, asked, call.called), file=self._journal)
            self._calls.append(call)
            return call

    def end(self, call: Call, outcome: Outcome, output: Any = None) -> None:
        """Note that `call` has ended now; `Call` has a method for each outcome.

        Raises:
            ValueError: it had ended already.
        """
        with self._lock:
            if call.returned is not None:
                raise ValueError(f"{call.input!r} of {call.client!r} has ended already")
            at = self._now()
            if self._journal is not None:
                print(return_line(call.number, outcome, output, at), file=self._journal)
            call.returned, call.outcome, call.output = at, outcome, output

    def history(self) -> History:
        """Return what was recorded until now; what has not ended has an unknown outcome."""
        with self._lock:
            return History(call.operation() for call in self._calls)

    def close(self) -> None:
        """Close the journal, if there is one."""
        if self._journal is not None:
            self._journal.close()

    def _now(self) -> float:
        self._last = max(self._clock(), math.nextafter(self._last, math.inf))
        return self._last


class Call:
    """An operation under way. As a context manager it takes its outcome from how the block ends:

    with recorder.call("client 1", KeyValue.get("x")) as call:
        call.ok(await client.get("x"))

    An exception means that nothing happened (see `Recorder`), or that the outcome is unknown, and
    goes on. A block that ends without saying anything means success without output.
    """

    def __init__(
        self, recorder: Recorder, number: int, client: Hashable, asked: Any, called: float
    ) -> None:
        self.number = number
        self.client = client
        self.input = asked
        self.called = called
        self.output: Any = None
        self.returned: float | None = None
        self.outcome = Outcome.UNKNOWN
        self._recorder = recorder

    def ok(self, output: Any = None) -> None:
        """It took effect and was answered by `output`."""
        self._recorder.end(self, Outcome.OK, output)

    def failed(self) -> None:
        """It certainly took no effect, and never will."""
        self._recorder.end(self, Outcome.FAILED)

    def unknown(self) -> None:
        """It may have taken effect, may still do, or never."""
        self._recorder.end(self, Outcome.UNKNOWN)

    def operation(self) -> Operation:
        """Return it as far as it is known now."""
        return Operation(
            self.client, self.input, self.output, self.called, self.returned, self.outcome
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.returned is not None:
            return
        if error is None:
            self.ok()
        elif isinstance(error, self._recorder.nothing_happened):
            self.failed()
        else:
            self.unknown()
