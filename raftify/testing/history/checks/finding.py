"""What a check found to be wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from raftify.testing.history.operation import Operation


class CheckFailed(AssertionError):
    """A history, or what was applied, breaks a promise."""


@dataclass(frozen=True)
class Finding:
    """One breach of a promise.

    Args:
        check: the name of the check.
        what: a sentence with the values in it.
        operations: those that show it, the last one last.
    """

    check: str
    what: str
    operations: tuple[Operation, ...] = ()

    def __str__(self) -> str:
        shown = "".join(f"\n    {each}" for each in self.operations)
        return f"{self.check}: {self.what}{shown}"


def demand_none(findings: Iterable[Finding]) -> None:
    """Return only if there are no findings.

    Raises:
        CheckFailed: there are; the message lists them.
    """
    listed = [str(finding) for finding in findings]
    if listed:
        raise CheckFailed("\n".join(listed))
