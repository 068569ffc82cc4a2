"""What a follower acknowledges to a leader is what that leader has."""

from __future__ import annotations

from raftify.core.types import Message, MessageType
from raftify.errors import Compacted, Unavailable
from raftify.testing.invariants.base import LogInvariant
from raftify.testing.invariants.watch import Step, Watch
from raftify.testing.simulation.observer import NodeView


class AcknowledgesWhatMatches(LogInvariant):
    """Raft paper §5.3: the leader counts an acknowledged index, and all before it, as its own log.

    Compares the terms at the index in both logs as the answer leaves; where they are the same, all
    before it is (`LogMatching`). A follower that acknowledges more is wrong at once, though only
    the commit of what it does not have shows it. Who is no leader of that term any more does not
    listen.
    """

    cites = "Raft paper §5.3"

    def __init__(self, watch: Watch | None = None) -> None:
        super().__init__(watch)
        self._lost: set[int] = set()

    def forget(self, node_id: int) -> None:
        """What comes back under this id is no leader that is looked at."""
        self._lost.add(node_id)

    def on_log(self, node: NodeView, step: Step) -> None:
        """Nothing more: the watch has followed the log."""

    def on_send(self, node: NodeView, message: Message) -> None:
        """Compare an acknowledgement with the log of the leader that it goes to."""
        if message.msg_type is not MessageType.APPEND_RESPONSE or message.reject:
            return
        core, index = node.raft, message.index
        leader = None if message.to in self._lost else self.watch.log_of(message.to)
        if core is None or core.term != message.term or leader is None:
            return
        if leader.led != message.term or index < leader.first - 1:
            return
        try:
            here = core.raft_log.term(index) or node.disk.term(index)
        except (Compacted, Unavailable):
            return
        if here and leader.term(index) != here:
            self.fail(
                f"node {node.id} acknowledges {index} (term {here}) to node {message.to}, leader "
                f"of term {message.term}, whose log has term {leader.term(index)} there and ends "
                f"at {leader.last}"
            )
