"""What was refused takes no effect."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from raftify.testing.history.checks.finding import Finding
from raftify.testing.history.operation import Operation, Outcome, operations_of

NAME = "nothing refused applied"


def nothing_refused_applied(
    history: Iterable[Operation],
    applied: Iterable[Hashable],
    identity: Callable[[Operation], Hashable],
) -> list[Finding]:
    """Find failed operations that a state machine has applied all the same.

    Args:
        history: the operations, in any order.
        applied: what one state machine has applied once all nodes agree.
        identity: what an operation is called in `applied`; None if it applies nothing, as a read.
    """
    there = set(applied) - {None}
    return [
        Finding(NAME, f"{identity(operation)!r} was refused, but is there", (operation,))
        for operation in operations_of(history)
        if operation.outcome is Outcome.FAILED and identity(operation) in there
    ]
