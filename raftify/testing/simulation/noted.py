"""An attribute of a simulated machine whose changes are faults, and so events of the trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from typing import Self

    from raftify.testing.simulation.node import SimulatedNode


class NotedSeconds:
    """A number of seconds; `what` says what takes them."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    @overload
    def __get__(self, node: None, owner: type) -> Self: ...
    @overload
    def __get__(self, node: SimulatedNode, owner: type) -> float: ...
    def __get__(self, node: SimulatedNode | None, owner: type) -> Self | float:
        if node is None:
            return self
        seconds: float = node.__dict__[self._name]
        return seconds

    def __set__(self, node: SimulatedNode, seconds: float) -> None:
        before = node.__dict__.get(self._name)
        node.__dict__[self._name] = seconds
        if before not in (None, seconds):
            node.cluster.note(f"{node.name}: {self._what} takes {seconds:g} s")
