"""How one configuration becomes another: one voter at a time, or through a joint configuration.

A `Changer` only computes. What it returns takes effect with `ProgressTracker.apply_conf`, so a
change that is refused has changed nothing. Reference: thesis 4.3; raft-rs and etcd confchange.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from raftify.core.quorum import JointConfig, MajorityConfig
from raftify.core.tracker import Configuration, MapChange, MapChangeType, ProgressTracker
from raftify.core.types import ConfChangeSingle, ConfChangeType, ConfState
from raftify.errors import ConfChangeRejected, InvariantViolation


class Changer:
    """Computes what the tracker's configuration would become. It changes nothing itself."""

    __slots__ = ("_conf", "_tracked")

    def __init__(self, tracker: ProgressTracker) -> None:
        self._conf = tracker.conf
        self._tracked = tracker.progress.keys()

    def enter_joint(
        self, changes: Iterable[ConfChangeSingle], *, auto_leave: bool
    ) -> tuple[Configuration, MapChange]:
        """Return the joint configuration of the present voters and of those after `changes`.

        Raises:
            ConfChangeRejected: it is joint already, has no voter, or none would be left.
        """
        draft = self._draft()
        if draft.outgoing:
            raise ConfChangeRejected("config is already joint")
        if not draft.incoming:
            raise ConfChangeRejected("can't make a zero-voter config joint")
        draft.outgoing = frozenset(draft.incoming)
        draft.auto_leave = auto_leave
        draft.apply(changes)
        return draft.finish()

    def leave_joint(self) -> tuple[Configuration, MapChange]:
        """Return the incoming half alone, its staged learners in office.

        Raises:
            ConfChangeRejected: the configuration is not joint.
        """
        draft = self._draft()
        if not draft.outgoing:
            raise ConfChangeRejected("can't leave a non-joint config")
        draft.learners |= draft.learners_next
        draft.learners_next = set()
        for node_id in sorted(draft.outgoing - draft.incoming - draft.learners):
            draft.untrack(node_id)
        draft.outgoing = frozenset()
        draft.auto_leave = False
        return draft.finish()

    def simple(self, changes: Iterable[ConfChangeSingle]) -> tuple[Configuration, MapChange]:
        """Return the configuration after `changes`, which may touch one voter at most.

        Any number of learners may come and go: no quorum hangs on them.

        Raises:
            ConfChangeRejected: it is joint, more than one voter changes, or none would be left.
        """
        draft = self._draft()
        if draft.outgoing:
            raise ConfChangeRejected("can't apply simple config change in joint config")
        draft.apply(changes)
        if len(draft.incoming ^ self._conf.voters.incoming.voters) > 1:
            raise ConfChangeRejected("more than one voter changed without entering joint config")
        return draft.finish()

    def _draft(self) -> _Draft:
        conf = self._conf
        check_invariants(conf, self._tracked)
        return _Draft(
            incoming=set(conf.voters.incoming.voters),
            outgoing=conf.voters.outgoing.voters,
            learners=set(conf.learners),
            learners_next=set(conf.learners_next),
            auto_leave=conf.auto_leave,
            tracked=set(self._tracked),
        )


@dataclass(slots=True)
class _Draft:
    """A configuration in the making, with the ids tracked and how they came to differ."""

    incoming: set[int]
    outgoing: frozenset[int]
    learners: set[int]
    learners_next: set[int]
    auto_leave: bool
    tracked: set[int]
    map_change: MapChange = field(default_factory=list)

    def apply(self, changes: Iterable[ConfChangeSingle]) -> None:
        """Apply `changes` one by one; voters change in the incoming half only."""
        for change in changes:
            node_id = change.node_id
            if node_id == 0:
                # How an application says, after the fact, that a change shall not take place.
                continue
            if change.change_type is ConfChangeType.ADD_NODE:
                self._make_voter(node_id)
            elif change.change_type is ConfChangeType.ADD_LEARNER_NODE:
                self._make_learner(node_id)
            else:
                self._remove(node_id)
        if not self.incoming:
            raise ConfChangeRejected("removed all voters")

    def _make_voter(self, node_id: int) -> None:
        self._forget(node_id)
        self.incoming.add(node_id)
        self._track(node_id)

    def _make_learner(self, node_id: int) -> None:
        self._forget(node_id)
        # Nobody is voter and learner at once: who votes in the outgoing half learns after it.
        staged = node_id in self.outgoing
        (self.learners_next if staged else self.learners).add(node_id)
        self._track(node_id)

    def _remove(self, node_id: int) -> None:
        self._forget(node_id)
        # The outgoing half goes on counting its voters, so their progress stays.
        if node_id in self.tracked and node_id not in self.outgoing:
            self.untrack(node_id)

    def _forget(self, node_id: int) -> None:
        self.incoming.discard(node_id)
        self.learners.discard(node_id)
        self.learners_next.discard(node_id)

    def _track(self, node_id: int) -> None:
        if node_id not in self.tracked:
            self.tracked.add(node_id)
            self.map_change.append((node_id, MapChangeType.ADD))

    def untrack(self, node_id: int) -> None:
        self.tracked.remove(node_id)
        self.map_change.append((node_id, MapChangeType.REMOVE))

    def finish(self) -> tuple[Configuration, MapChange]:
        conf = Configuration(
            voters=JointConfig(
                MajorityConfig(frozenset(self.incoming)), MajorityConfig(self.outgoing)
            ),
            learners=frozenset(self.learners),
            learners_next=frozenset(self.learners_next),
            auto_leave=self.auto_leave,
        )
        check_invariants(conf, self.tracked)
        return conf, self.map_change


def check_invariants(conf: Configuration, tracked: Collection[int]) -> None:
    """Check `conf` against itself and against the ids that have a progress.

    The empty configuration is allowed: every cluster begins with it.

    Raises:
        InvariantViolation: they contradict each other, which no sequence of changes leads to.
    """
    for what, ids in (
        ("voter", conf.voters.ids()),
        ("learner", conf.learners),
        ("learner to be", conf.learners_next),
    ):
        _refuse(ids.difference(tracked), f"no progress for {what}")
    outgoing = conf.voters.outgoing.voters
    _refuse(conf.learners & outgoing, "both learner and outgoing voter:")
    _refuse(conf.learners & conf.voters.incoming.voters, "both learner and incoming voter:")
    _refuse(conf.learners_next - outgoing, "learner to be, but not outgoing voter:")
    if conf.auto_leave and not conf.is_joint:
        raise InvariantViolation("the configuration is to be left automatically, but is not joint")


def _refuse(ids: frozenset[int], complaint: str) -> None:
    if ids:
        raise InvariantViolation(f"{complaint} {' '.join(map(str, sorted(ids)))}")


def restore(tracker: ProgressTracker, next_idx: int, conf_state: ConfState) -> None:
    """Give `tracker` the configuration of `conf_state`, with a new progress for everybody.

    It is reached by ordinary changes from the empty configuration, so it passes every check that
    they do. `next_idx` is where the nodes are probed from.

    Raises:
        ConfChangeRejected: no sequence of changes leads to `conf_state`; nothing was changed.
    """
    restored = ProgressTracker(tracker.max_inflight)
    incoming = [
        *_changes(ConfChangeType.ADD_NODE, conf_state.voters),
        *_changes(ConfChangeType.ADD_LEARNER_NODE, conf_state.learners),
        *_changes(ConfChangeType.ADD_LEARNER_NODE, conf_state.learners_next),
    ]
    one_by_one = incoming
    if conf_state.voters_outgoing:
        one_by_one = _changes(ConfChangeType.ADD_NODE, conf_state.voters_outgoing)
    for change in one_by_one:
        restored.apply_conf(*Changer(restored).simple([change]), next_idx)
    if conf_state.voters_outgoing:
        all_out = _changes(ConfChangeType.REMOVE_NODE, conf_state.voters_outgoing)
        joint = Changer(restored).enter_joint(
            [*all_out, *incoming], auto_leave=conf_state.auto_leave
        )
        restored.apply_conf(*joint, next_idx)
    reached = restored.conf.to_conf_state()
    if reached != _in_order(conf_state):
        raise ConfChangeRejected(
            f"no sequence of changes leads to the configuration {conf_state}; the nearest is "
            f"{reached}. The snapshot or store it comes from is damaged"
        )
    tracker.conf = restored.conf
    tracker.progress.clear()
    tracker.progress.update(restored.progress)


def _changes(change_type: ConfChangeType, node_ids: Iterable[int]) -> list[ConfChangeSingle]:
    return [ConfChangeSingle(change_type, node_id) for node_id in node_ids]


def _in_order(conf_state: ConfState) -> ConfState:
    return ConfState(
        voters=tuple(sorted(set(conf_state.voters))),
        learners=tuple(sorted(set(conf_state.learners))),
        voters_outgoing=tuple(sorted(set(conf_state.voters_outgoing))),
        learners_next=tuple(sorted(set(conf_state.learners_next))),
        auto_leave=conf_state.auto_leave,
    )
