"""The settings of the algorithm: raft-rs's Config, and ours where raft-rs leaves a gap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum

from raftify.core.types import INVALID_ID, NO_LIMIT
from raftify.errors import ConfigError

_MIB = 1 << 20


class ReadOnlyOption(IntEnum):
    """How a leader makes sure that it still leads before it answers a read."""

    #: Ask a quorum, once per round of reads. Safe whatever the clocks do.
    SAFE = 0
    #: Trust that a quorum answered lately. Cheaper, and wrong as soon as the process is paused, a
    #: clock drifts or the node is cut off for longer than an election timeout: whether it still has
    #: a quorum shows only at the end of the next one.
    LEASE_BASED = 1


@dataclass(slots=True)
class RaftConfig:
    """Settings of one RawNode. Nothing is checked before `validate`, which RawNode calls.

    Times are in ticks, sizes in bytes of encoded entries (`NO_LIMIT`: no limit). Where raft-rs
    leaves a guard off by default (check_quorum, pre_vote, the size limits) it is on here.
    """

    #: This node's id; unique in the cluster, for ever, and not 0.
    id: int = 0
    #: A follower that hears nothing for this long campaigns.
    election_tick: int = 10
    #: A leader says that it is there this often.
    heartbeat_tick: int = 1
    #: Index up to which the state machine is known to have applied; entries up to it are not handed
    #: out again. For restarts.
    applied: int = 0
    #: Most bytes of entries in one append message; 0 sends them one by one.
    max_size_per_msg: int = _MIB
    #: Append messages under way to one follower before it must answer.
    max_inflight_msgs: int = 256
    #: A leader that hears from no quorum for an election timeout steps down (thesis 6.2), and nodes
    #: that hear a leader refuse to vote (thesis 4.2.3).
    check_quorum: bool = True
    #: Ask whether an election could be won before raising the term (thesis 9.6).
    pre_vote: bool = True
    #: The randomized election timeout lies in [min_election_tick, max_election_tick).
    #: 0 stands for `election_tick`, and for twice that.
    min_election_tick: int = 0
    max_election_tick: int = 0
    read_only_option: ReadOnlyOption = ReadOnlyOption.SAFE
    #: Do not tell followers of a new commit index by a message of its own.
    skip_bcast_commit: bool = False
    #: Add new entries to an append message that has not been handed out yet.
    batch_append: bool = False
    #: Among logs that end alike, a node gives its vote only to one of at least its own priority.
    priority: int = 0
    #: Bytes of proposals that may wait for their commit; beyond it proposals are dropped.
    max_uncommitted_size: int = 64 * _MIB
    #: Bytes of committed entries in one Ready.
    max_committed_size_per_ready: int = _MIB
    #: How many entries beyond the persisted ones a leader may apply once they are committed.
    max_apply_unpersisted_log_limit: int = 0
    #: A follower drops proposals instead of forwarding them to its leader.
    disable_proposal_forwarding: bool = False
    #: Not in raft-rs, which leaves a leader that removed itself in office: it then sends heartbeats
    #: for ever, and nobody is elected.
    step_down_on_removal: bool = True
    #: Not in raft-rs, which drops them: reads that may wait for the first commit of a new leader.
    max_waiting_reads: int = 4096

    def election_tick_range(self) -> tuple[int, int]:
        """Return the half-open range that the randomized election timeout is drawn from."""
        return (
            self.min_election_tick or self.election_tick,
            self.max_election_tick or 2 * self.election_tick,
        )

    def validate(self) -> None:
        """Check every setting.

        Raises:
            ConfigError: names all that is wrong, at once.
        """
        faults = list(self._faults())
        if faults:
            raise ConfigError("bad raft configuration: " + "; ".join(faults))

    def _faults(self) -> Iterator[str]:
        wrong = list(self._wrong_types())
        yield from wrong
        if not wrong:
            yield from self._wrong_values()

    def _wrong_types(self) -> Iterator[str]:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "read_only_option":
                if not isinstance(value, ReadOnlyOption):
                    # An int is equal to its option but is not it: reads would never be answered.
                    yield f"read_only_option must be a ReadOnlyOption, not {value!r:.60}"
            elif isinstance(field.default, bool):
                if not isinstance(value, bool):
                    yield f"{field.name} must be True or False, not {value!r:.60}"
            elif isinstance(value, bool) or not isinstance(value, int):
                yield f"{field.name} must be a whole number, not {value!r:.60}"
            elif abs(value) > NO_LIMIT:
                yield f"{field.name} must not be above NO_LIMIT"

    def _wrong_values(self) -> Iterator[str]:
        if self.id == INVALID_ID:
            yield "id must not be 0, which means nobody"
        for name in ("id", "applied", "max_size_per_msg", "max_committed_size_per_ready"):
            if getattr(self, name) < 0:
                yield f"{name} must not be negative"
        for name in ("max_apply_unpersisted_log_limit", "max_waiting_reads"):
            if not 0 <= getattr(self, name) <= NO_LIMIT:
                yield f"{name} must not be negative"
        if self.heartbeat_tick <= 0:
            yield "heartbeat_tick must be greater than 0"
        if self.election_tick <= self.heartbeat_tick:
            yield "election_tick must be greater than heartbeat_tick"
        low, high = self.election_tick_range()
        if low < self.election_tick:
            yield f"min_election_tick {low} must not be less than election_tick"
        if low >= high:
            yield f"min_election_tick {low} must be less than max_election_tick {high}"
        if self.max_inflight_msgs <= 0:
            yield "max_inflight_msgs must be greater than 0"
        if self.read_only_option is ReadOnlyOption.LEASE_BASED and not self.check_quorum:
            yield "read_only_option LEASE_BASED needs check_quorum"
        if self.max_uncommitted_size < self.max_size_per_msg:
            yield "max_uncommitted_size must not be less than max_size_per_msg"
