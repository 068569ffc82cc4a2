"""What a node tells of itself: one immutable value, taken without a round trip to the core."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from raftify.config import Config
from raftify.core.progress import ProgressState
from raftify.core.raw_node import RawNode
from raftify.core.types import ConfState, Role
from raftify.node.contacts import Contacts
from raftify.node.local_state import LocalState, RunningState
from raftify.peers import Membership
from raftify.storage.base import StableStorage
from raftify.transport.expiry import days_left


@dataclass(frozen=True, slots=True)
class PeerMetrics:
    """How far one member is, as the leader knows it (see the core's Progress).

    `silent_for` is the time in seconds since it was last heard of, None if it never was.
    """

    node_id: int
    matched: int
    next_idx: int
    state: ProgressState
    silent_for: float | None = field(compare=False)


@dataclass(frozen=True, slots=True)
class Metrics:
    """One moment of a node. Holding it costs the node nothing, and it never changes.

    Two are equal if all is equal but the ages, which change all the time. Indexes are those of the
    log; 0 means that there is none yet. Times are in seconds.

    Attributes:
        last_index: of the last entry in the log, whether durable or not.
        applied: the last entry that the state machine has applied.
        snapshot: the last entry that the latest snapshot covers.
        purged: the last entry that was discarded from the log.
        peers: at the leader, each other member; empty elsewhere.
        quorum_silent_for: at the leader, how long ago the latest moment is by which a quorum had
            been heard of in this term; None elsewhere, and until it was. For watching, not for
            reads: messages take time to arrive. A linearizable read is `Raft.read_index`.
        failure: what the node broke of; empty while it has not.
        certificate_days_left: days until the first certificate expires that this node needs to be
            believed: its own, its authority's, or one between. Less than 0: it has. None without
            TLS.
    """

    node_id: int
    cluster_id: str
    running_state: RunningState
    term: int
    vote: int
    role: Role
    leader_id: int
    last_index: int
    committed: int
    applied: int
    snapshot: int
    purged: int
    membership: Membership
    peers: Mapping[int, PeerMetrics]
    quorum_silent_for: float | None = field(compare=False)
    failure: str = ""
    certificate_days_left: float | None = field(default=None, compare=False)

    @property
    def is_leader(self) -> bool:
        """Whether this node runs and believes to lead."""
        return self.role is Role.LEADER and self.running_state is RunningState.RUNNING

    @property
    def has_ended(self) -> bool:
        """Whether the node runs no more, and never will again."""
        return self.running_state in (RunningState.STOPPED, RunningState.FAILED)


@dataclass(frozen=True, slots=True)
class _Log:
    """What the store knew when it was last asked; a closed one answers no more."""

    last_index: int = 0
    snapshot: int = 0
    purged: int = 0


class Gauge:
    """Takes Metrics of one node, also after its end."""

    def __init__(
        self,
        *,
        config: Config,
        state: LocalState,
        raw: RawNode,
        storage: StableStorage,
        contacts: Contacts,
    ) -> None:
        self._tls = config.tls
        self._state = state
        self._raw = raw
        self._storage = storage
        self._contacts = contacts
        self._log = _Log()

    def read(self) -> Metrics:
        """Return the metrics as of now."""
        state, raft = self._state, self._raw.raft
        if not state.has_ended():
            self._log = _Log(
                last_index=raft.raft_log.last_index(),
                snapshot=self._storage.latest_snapshot().metadata.index,
                purged=self._storage.first_index() - 1,
            )
        leads = state.is_leader
        now = state.loop.time() if leads and state.loop is not None else 0.0
        return Metrics(
            node_id=state.node_id,
            cluster_id=state.identity.cluster_id,
            running_state=state.running,
            term=raft.term,
            vote=raft.vote,
            role=state.role,
            leader_id=state.leader_id,
            last_index=self._log.last_index,
            committed=max(state.committed, raft.raft_log.committed),
            applied=state.applied,
            snapshot=self._log.snapshot,
            purged=self._log.purged,
            membership=state.membership,
            peers=MappingProxyType(self._peers(now) if leads else {}),
            quorum_silent_for=self._quorum_silent_for(now) if leads else None,
            failure=str(state.failure) if state.failure is not None else "",
            certificate_days_left=days_left(self._tls),
        )

    def _peers(self, now: float) -> dict[int, PeerMetrics]:
        own = self._state.node_id
        return {
            node_id: PeerMetrics(
                node_id,
                progress.matched,
                progress.next_idx,
                progress.state,
                self._contacts.silent_for(node_id, now),
            )
            for node_id, progress in self._raw.raft.tracker.progress.items()
            if node_id != own
        }

    def _quorum_silent_for(self, now: float) -> float | None:
        conf: ConfState = self._state.membership.conf_state
        halves = [self._majority_silent_for(conf.voters, now)]
        if conf.voters_outgoing:
            halves.append(self._majority_silent_for(conf.voters_outgoing, now))
        known = [silent for silent in halves if silent is not None]
        return max(known) if len(known) == len(halves) else None

    def _majority_silent_for(self, voters: Iterable[int], now: float) -> float | None:
        ages: list[float] = []
        count = 0
        for voter in voters:
            count += 1
            if voter == self._state.node_id:
                ages.append(0.0)
            elif (silent := self._contacts.silent_in_office(voter, now)) is not None:
                ages.append(silent)
        needed = count // 2 + 1
        return sorted(ages)[needed - 1] if len(ages) >= needed else None
