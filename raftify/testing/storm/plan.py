"""What a storm is like: everything about it that its seed decides before it begins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from raftify.config import Config
from raftify.core.config import RaftConfig, ReadOnlyOption
from raftify.errors import ConfigError

MIB = 1 << 20
#: With so many voters a storm may begin.
SIZES = range(1, 8)


class Founding(StrEnum):
    """How a cluster comes to be: of members that all were told, of nodes that waited, or of one
    that the others joined, one after the other or in one change."""

    STATIC = "static"
    INITIALIZED = "initialized"
    JOINED = "joined"
    JOINED_TOGETHER = "joined together"


@dataclass(frozen=True, slots=True)
class Plan:
    """One storm.

    Attributes:
        size: voters that the cluster begins with.
        seconds: how long the safety phase lasts, of virtual time.
        clients: how many clients there are, each of which calls one operation after the other.
        pace: operations a second of each client, on average.
        fault_pause: seconds between two faults, on average.
        change_pause: seconds between two changes of the membership, on average.
        leases: whether leaders answer reads by their lease.
        steady: with leases: whether nothing happens that a lease cannot bear (see ReadOnlyOption).
            Then what is read by it is linearizable; else it may be stale, and is judged as such.
        mixed: whether nodes have other options after a restart than before.
        founding: how the cluster comes to be.
        learners: static learners that it begins with.
        first_leader: the static voter that campaigns at once; 0: nobody.
        archived: whether nodes keep what they discard from their logs.
        refounded: whether a new cluster begins with a snapshot of this one in the end.
        proposal_bytes: what some nodes refuse as too large a proposal begins behind this.
    """

    seed: int | str
    size: int
    seconds: float
    clients: int
    pace: float
    fault_pause: float
    change_pause: float
    leases: bool
    steady: bool
    mixed: bool
    founding: Founding
    learners: int
    first_leader: int
    archived: bool
    refounded: bool
    proposal_bytes: int

    @property
    def reads_may_be_stale(self) -> bool:
        """Whether even reads that are meant to be linearizable may be old."""
        return self.leases and not self.steady


def draw_plan(
    seed: int | str,
    *,
    size: int | None = None,
    seconds: float | None = None,
    proposal_bytes: int = 4 * MIB,
) -> Plan:
    """Return the storm of `seed`; what is given is not drawn.

    Raises:
        ConfigError: what is given is no size or time of a storm.
    """
    if size is not None and size not in SIZES:
        raise ConfigError(f"a storm begins with {SIZES[0]} to {SIZES[-1]} voters, not {size!r}")
    if seconds is not None and not 0 <= seconds < math.inf:
        raise ConfigError(f"a storm lasts a number of seconds, 0 or more, not {seconds!r}")
    random = Random(f"{seed}/plan")
    drawn_size = random.choice([1, 2, 3, 3, 3, 4, 5, 5, 6, 7])
    drawn_seconds = random.uniform(15, 40)
    size = drawn_size if size is None else size
    founding, learners, first_leader = _draw_founding(Random(f"{seed}/founding"), size)
    return Plan(
        seed=seed,
        size=size,
        seconds=drawn_seconds if seconds is None else seconds,
        clients=random.randint(2, 5),
        pace=random.choice([2.0, 5.0, 10.0]),
        fault_pause=random.choice([0.5, 1.0, 3.0]),
        change_pause=random.choice([1.5, 4.0, 10.0, 30.0]),
        leases=random.random() < 0.15,
        steady=Random(f"{seed}/steady").random() < 0.6,
        mixed=random.random() < 0.4,
        founding=founding,
        learners=learners,
        first_leader=first_leader,
        archived=Random(f"{seed}/archived").random() < 0.3,
        refounded=Random(f"{seed}/refounded").random() < 0.15,
        proposal_bytes=proposal_bytes,
    )


def _draw_founding(random: Random, size: int) -> tuple[Founding, int, int]:
    """Return how a cluster of `size` voters comes to be, its learners, and who leads first."""
    founding = random.choice([
        Founding.STATIC, Founding.STATIC, Founding.INITIALIZED, Founding.INITIALIZED,
        Founding.JOINED, Founding.JOINED_TOGETHER,
    ])  # fmt: skip
    learners = random.choice([0, 0, 1, 2])
    first_leader = random.choice([0, random.randint(1, size)])
    if founding in (Founding.JOINED, Founding.JOINED_TOGETHER):
        learners = 0
    if founding is not Founding.STATIC:
        first_leader = 0
    return founding, learners, first_leader


def draw_config(random: Random, plan: Plan) -> Config:
    """Return settings for one node. Ticks are the same everywhere, or elections never end."""
    ticks = Random(f"{plan.seed}/ticks")
    pick = random.choice
    heartbeat_tick, tick_interval = ticks.choice([1, 2, 3]), ticks.choice([0.03, 0.1, 0.1, 0.2])
    election_tick = ticks.choice([6, 10, 10, 16])
    # From when on, and until when, a node campaigns may differ from node to node.
    earliest, latest = pick([
        (0, 0), (0, 0), (0, 3 * election_tick), (election_tick + 3, 0),
    ])  # fmt: skip
    per_message = pick([0, 300, 4096, MIB])
    guarded = plan.leases or random.random() < 0.8
    raft = RaftConfig(
        election_tick=election_tick,
        heartbeat_tick=heartbeat_tick,
        min_election_tick=earliest,
        max_election_tick=latest,
        pre_vote=random.random() < 0.8,
        check_quorum=guarded,
        read_only_option=ReadOnlyOption.LEASE_BASED if plan.leases else ReadOnlyOption.SAFE,
        max_size_per_msg=per_message,
        max_inflight_msgs=pick([1, 2, 8, 256]),
        max_uncommitted_size=max(per_message, pick([1000, 64 * MIB])),
        max_committed_size_per_ready=pick([0, 500, MIB]),
        skip_bcast_commit=random.random() < 0.3,
        batch_append=random.random() < 0.3,
        priority=pick([0, 0, 0, 1, 5]),
        max_apply_unpersisted_log_limit=pick([0, 0, 0, 100]),
        max_waiting_reads=pick([1, 4096]),
        disable_proposal_forwarding=random.random() < 0.2,
    )
    return Config(
        raft_config=raft,
        tick_interval=tick_interval,
        proposal_timeout=5.0,
        request_timeout=pick([1.0, 5.0]),
        entry_cache_bytes=pick([0, 1000, 64 * MIB]),
        learner_max_lag=pick([5, 1000]),
        snapshot_entries=pick([0, 10, 40, 200]),
        snapshot_interval=pick([0.0, 0.0, 3.0]),
        snapshot_bytes=pick([0, 5000]),
        snapshot_keep_entries=pick([0, 5, 100]),
        purge_batch_entries=pick([1, 16_384]),
        snapshot_chunk_bytes=pick([64, MIB]),
        disk_stall_timeout=pick([0.5, 5.0]),
        snapshot_timeout=pick([5.0, 60.0]),
        commit_notice_delay=pick([0.0, 0.01, 0.1]),
        max_proposal_bytes=pick([plan.proposal_bytes, 4 * MIB]),
        inbox_limit=pick([8, 65_536]),
        outbox_messages=pick([4, 4096]),
        outbox_bytes=pick([2 * MIB, 64 * MIB]),
        save_compacted_logs=plan.archived,
        compacted_log_size_threshold=0,
    )
