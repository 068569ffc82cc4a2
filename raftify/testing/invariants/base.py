"""What all invariants have in common: a name, the place that promises it, and a way to fail."""

from __future__ import annotations

from typing import ClassVar, NoReturn

from raftify.testing.invariants.watch import Step, Watch
from raftify.testing.simulation.observer import InvariantViolation, NodeView, Observer


class Invariant(Observer):
    """An observer that raises InvariantViolation; `cites` says where the promise is made."""

    cites: ClassVar[str]
    #: Whether its `on_step` looks at nothing but what `Changes` compares, so that a step that
    #: changed none of it says nothing new. One that looks at anything else is shown every step.
    judges_changes_alone: ClassVar[bool] = False

    def forget(self, node_id: int) -> None:
        """The disk of this node was lost: what it held is nowhere any more."""

    def fail(self, what: str) -> NoReturn:
        """End the simulation with `what` was seen."""
        raise InvariantViolation(type(self).__name__, self.cites, what)


class LogInvariant(Invariant):
    """An invariant of logs: it is called with what a step changed in a node's log, if anything.

    Args:
        watch: what several invariants share, so that each log is looked at only once a step. An
            invariant that stands alone makes its own.
    """

    def __init__(self, watch: Watch | None = None) -> None:
        self.watch = Watch() if watch is None else watch

    def on_start(self, node: NodeView) -> None:
        """Look at the log that the node starts with."""
        self.on_step(node)

    def on_step(self, node: NodeView) -> None:
        """Look at the node's log. Not called where others share the look (see `Invariants`)."""
        step = self.watch.look(node)
        if step is not None:
            self.on_log(node, step)

    def on_log(self, node: NodeView, step: Step) -> None:
        """The log of `node` or its commit index changed."""
