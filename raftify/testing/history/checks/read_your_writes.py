"""A client never reads what was there before its own write."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from raftify.testing.history.checks.finding import Finding
from raftify.testing.history.checks.view import View, laid_out
from raftify.testing.history.operation import Operation, Outcome

NAME = "read your writes"


def read_your_writes(history: Iterable[Operation], view: View | None = None) -> list[Finding]:
    """Find reads of values older than what the same client had written, with success, before.

    Of two values one is older if its write ended before that of the other began, and a key's
    having no value is older than all, unless the key is deleted somewhere.

    Args:
        history: the operations, in any order.
        view: what they wrote and read; of a `KeyValue` unless given.

    Raises:
        ValueError: a value is written to a key twice.
    """
    view, operations, writes = laid_out(history, view)
    own: dict[tuple[Hashable, Hashable], tuple[Operation, object]] = {}
    findings = []
    for operation in operations:
        seen = view.read(operation)
        if seen is not None:
            key, value = seen
            write, known = own.get((operation.client, key), (None, None))
            if write and write.precedes(operation) and writes.is_older(key, value, write):
                findings.append(
                    Finding(
                        NAME,
                        f"client {operation.client!r} reads {value!r} at {key!r} after its own "
                        f"write of {known!r}",
                        (write, operation),
                    )
                )
        written = view.wrote(operation)
        if written is not None and operation.outcome is Outcome.OK:
            key, value = written
            own[operation.client, key] = operation, value
    return findings
