"""A history: all that the clients of a system did, and what they saw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

from raftify.testing.history import journal
from raftify.testing.history.operation import Operation, Outcome, operations_of


class History(Sequence[Operation]):
    """Operations in the order of their calls.

    Histories of several recorders merge by `History([*one, *another])`, if their clocks were one.

    Raises:
        TypeError: something given is no Operation.
    """

    def __init__(self, operations: Iterable[Operation] = ()) -> None:
        self._operations = tuple(sorted(operations_of(operations), key=lambda each: each.called))

    @classmethod
    def load(cls, *journals: Path | str) -> History:
        """Merge the journals that recorders wrote, one file for each process.

        Raises:
            ValueError: a journal is damaged; the message names it and the line.
            OSError: a journal cannot be read.
        """
        operations: list[Operation] = []
        for path in map(Path, journals):
            try:
                with path.open(encoding="utf-8") as lines:
                    operations += journal.operations_of(lines)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
        return cls(operations)

    def save(self, path: Path | str) -> None:
        """Write the history as one journal.

        Raises:
            TypeError: it has inputs or outputs that are no plain values; see `journal`.
            OSError: the file cannot be written.
        """
        Path(path).write_text(
            "".join(f"{line}\n" for line in journal.lines_of(self)), encoding="utf-8"
        )

    def with_outcome(self, outcome: Outcome) -> list[Operation]:
        """Return the operations whose outcome is `outcome`."""
        return [each for each in self._operations if each.outcome is outcome]

    @overload
    def __getitem__(self, at: int) -> Operation: ...
    @overload
    def __getitem__(self, at: slice) -> History: ...
    def __getitem__(self, at: int | slice) -> Operation | History:
        return History(self._operations[at]) if isinstance(at, slice) else self._operations[at]

    def __len__(self) -> int:
        return len(self._operations)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self._operations == other._operations

    def __hash__(self) -> int:
        return hash(self._operations)

    def __repr__(self) -> str:
        return f"History({list(self._operations)!r})"
