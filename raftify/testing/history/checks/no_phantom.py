"""Nothing is read that nobody wrote."""

from __future__ import annotations

from collections.abc import Iterable

from raftify.testing.history.checks.finding import Finding
from raftify.testing.history.checks.view import View, laid_out
from raftify.testing.history.operation import Operation, Outcome

NAME = "no phantom"


def no_phantom(history: Iterable[Operation], view: View | None = None) -> list[Finding]:
    """Find reads of values that no write can have brought there.

    A write can have if it did not fail and was called before the read ended.

    Args:
        history: the operations, in any order.
        view: what they wrote and read; of a `KeyValue` unless given.

    Raises:
        ValueError: a value is written to a key twice.
    """
    view, operations, writes = laid_out(history, view)
    findings = []
    for operation in operations:
        seen = view.read(operation)
        if seen is None or seen[1] is None:
            continue
        key, value = seen
        write = writes.of(key, value)
        what = f"{value!r} is read at {key!r}, "
        if write is None:
            findings.append(Finding(NAME, f"{what}but nobody wrote it", (operation,)))
        elif write.outcome is Outcome.FAILED:
            findings.append(Finding(NAME, f"{what}but its write failed", (write, operation)))
        elif operation.ends < write.called:
            findings.append(Finding(NAME, f"{what}before it was written", (write, operation)))
    return findings
