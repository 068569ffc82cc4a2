"""A leader answers a read only once a quorum said, after it was asked, that it leads still."""

from __future__ import annotations

from dataclasses import dataclass, field

from raftify.core.config import ReadOnlyOption
from raftify.core.raft_core import RaftCore
from raftify.core.read_only import ReadState
from raftify.core.types import INVALID_ID, Message, MessageType
from raftify.testing.invariants.base import Invariant
from raftify.testing.invariants.majorities import decides
from raftify.testing.simulation.observer import NodeView


@dataclass(slots=True)
class _Reign:
    """What a process saw in one term. Moments are counted, not timed.

    `asked` are the reads without an answer: when each was asked, and what its leader knew then to
    be committed. `sent` says when the heartbeats of a round left first, and `heard` of each node
    the latest such moment of a round that it answered. `has_lease` is how it was before the step
    that is judged: one that hands over ends its lease behind what it answered in the same step.
    """

    name: tuple[int, int]
    asked: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    sent: dict[bytes, int] = field(default_factory=dict)
    heard: dict[int, int] = field(default_factory=dict)
    has_lease: bool = False


class ReadsAreConfirmed(Invariant):
    """Thesis 6.4: a leader that was deposed and does not know it would give old answers.

    Counts who answered a heartbeat that left after the read was asked. A read that is answered
    with less is wrong at once, though only a write that another leader took meanwhile shows it.
    Where a lease is trusted nobody is asked. No answer reaches less far than what the leader knew
    to be committed when it was asked.
    """

    cites = "Raft thesis 6.4"

    def __init__(self) -> None:
        self._reigns: dict[int, _Reign] = {}
        self._moment = 0

    def on_receive(self, node: NodeView, message: Message) -> None:
        """Note a read, or an answer to a heartbeat."""
        core, kind = node.raft, message.msg_type
        if core is None:
            return
        reign = self._reign(node, core)
        reign.has_lease = core.read_only.option is ReadOnlyOption.LEASE_BASED
        if kind is MessageType.HEARTBEAT_RESPONSE:
            # One of an older term is no answer to this leader.
            if message.context and message.term == core.term:
                left = reign.sent.get(message.context, 0)
                reign.heard[message.from_] = max(reign.heard.get(message.from_, 0), left)
        elif kind is MessageType.READ_INDEX and message.from_ == INVALID_ID:
            self._moment += 1
            asked = (self._moment, core.raft_log.committed)
            reign.asked[message.entries[0].data] = asked

    def on_send(self, node: NodeView, message: Message) -> None:
        """Note when a round of heartbeats begins."""
        core = node.raft
        if core is None or message.msg_type is not MessageType.HEARTBEAT or not message.context:
            return
        if message.term == core.term:
            self._moment += 1
            self._reign(node, core).sent.setdefault(message.context, self._moment)

    def on_step(self, node: NodeView) -> None:
        """Look at the answers that are on their way to those who asked."""
        core = node.raft
        if core is None or not core.read_states:
            return
        reign = self._reign(node, core)
        for state in core.read_states:
            asked = reign.asked.pop(state.request_ctx, None)
            # One that was answered before this process heard of a later term was looked at then.
            if asked is not None:
                self._judge(node, core, state, reign, asked)

    def _judge(
        self,
        node: NodeView,
        core: RaftCore,
        state: ReadState,
        reign: _Reign,
        asked: tuple[int, int],
    ) -> None:
        moment, committed = asked
        if state.index < committed:
            self.fail(
                f"node {node.id} answers a read with {state.index} in term {core.term}, and knew "
                f"{committed} to be committed when it was asked"
            )
        if reign.has_lease:
            return
        confirmed = {i for i, left in reign.heard.items() if left > moment}
        if not decides(core.tracker.conf, {node.id, *confirmed}):
            self.fail(
                f"node {node.id} answers a read in term {core.term}, and of what left after the "
                f"read was asked only {sorted(confirmed)} answered a heartbeat; the configuration "
                f"is {core.tracker.conf.to_conf_state()}"
            )

    def _reign(self, node: NodeView, core: RaftCore) -> _Reign:
        name = (node.incarnation, core.term)
        reign = self._reigns.get(node.id)
        if reign is None or reign.name != name:
            reign = self._reigns[node.id] = _Reign(name)
        return reign
