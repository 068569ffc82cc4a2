"""Nobody says that it knows a configuration to be committed before a crash would leave it."""

from __future__ import annotations

from raftify.core.types import Message, MessageType
from raftify.testing.invariants.base import LogInvariant
from raftify.testing.invariants.watch import Step
from raftify.testing.simulation.observer import NodeView

_ANSWERS = frozenset({MessageType.APPEND_RESPONSE, MessageType.HEARTBEAT_RESPONSE})


class AdmitsWhatIsDurable(LogInvariant):
    """Decision 7: a leader counts by these answers who knows of a removal, and lets go of whoever
    was removed; those that stay would need its vote if they forgot it (etcd#10563).

    Compares the commit index in an answer with the membership that a crash at this moment would
    leave.
    """

    cites = "decision 7; etcd#10563"

    def on_send(self, node: NodeView, message: Message) -> None:
        """Compare the answer with the disk."""
        known = self.watch.committed.configurations
        if message.msg_type not in _ANSWERS or not message.commit or not known.upto:
            return
        index = known.index(known.position(message.commit))
        if index <= message.commit and node.disk.membership.index < index:
            self.fail(
                f"node {node.id} says that it knows {message.commit} to be committed, but its disk "
                f"has the membership of {node.disk.membership.index}, and not that of {index}"
            )

    def on_log(self, node: NodeView, step: Step) -> None:
        """Nothing more: the watch has followed the log."""
