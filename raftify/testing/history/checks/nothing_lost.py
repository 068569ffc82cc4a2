"""Nothing acknowledged is lost."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from raftify.testing.history.checks.finding import Finding
from raftify.testing.history.operation import Operation, Outcome, operations_of

NAME = "nothing acknowledged lost"


def nothing_lost(
    history: Iterable[Operation],
    applied: Iterable[Hashable],
    identity: Callable[[Operation], Hashable],
) -> list[Finding]:
    """Find successful operations that a state machine has not applied.

    Args:
        history: the operations, in any order.
        applied: what one state machine has applied once all nodes agree.
        identity: what an operation is called in `applied`; None if it applies nothing, as a read.
    """
    there = set(applied)
    return [
        Finding(NAME, f"{identity(operation)!r} was acknowledged, but is not there", (operation,))
        for operation in operations_of(history)
        if operation.outcome is Outcome.OK
        and identity(operation) is not None
        and identity(operation) not in there
    ]
