"""What a client has read does not get older."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from raftify.testing.history.checks.finding import Finding
from raftify.testing.history.checks.view import View, laid_out
from raftify.testing.history.operation import Operation

NAME = "monotonic reads"


def monotonic_reads(history: Iterable[Operation], view: View | None = None) -> list[Finding]:
    """Find reads of values older than what the same client had read there before.

    Of two values one is older if its write ended before that of the other began, and a key's
    having no value is older than all, unless the key is deleted somewhere.

    Args:
        history: the operations, in any order.
        view: what they wrote and read; of a `KeyValue` unless given.

    Raises:
        ValueError: a value is written to a key twice.
    """
    view, operations, writes = laid_out(history, view)
    last: dict[tuple[Hashable, Hashable], Operation] = {}
    findings = []
    for operation in operations:
        seen = view.read(operation)
        if seen is None:
            continue
        key, value = seen
        earlier = last.get((operation.client, key))
        if earlier is not None and earlier.precedes(operation):
            _, known = view.read(earlier) or seen
            write = writes.of(key, known)
            if write is not None and known != value and writes.is_older(key, value, write):
                findings.append(
                    Finding(
                        NAME,
                        f"client {operation.client!r} reads {value!r} at {key!r} after {known!r}",
                        (earlier, operation),
                    )
                )
        last[operation.client, key] = operation
    return findings
