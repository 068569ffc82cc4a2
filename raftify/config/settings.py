"""Every setting of a node, with its unit and its default, checked at construction."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from raftify.config import sources
from raftify.config.tls import TlsConfig
from raftify.core.config import RaftConfig
from raftify.errors import ConfigError
from raftify.peers import Peers

MIB = 1 << 20
#: The last words of settings that are whole numbers; all others are seconds.
_COUNTED = frozenset(
    ["bytes", "entries", "size", "threshold", "limit", "messages", "lag", "connections", "calls"]
)
_MOST = (1 << 63) - 1


@dataclass(kw_only=True)
class Config:
    """Settings of one node. Times are in seconds, sizes in bytes.

    A follower campaigns after `raft_config.election_tick` to twice that many ticks without word
    from a leader: `tick_interval * election_tick` is the least time a dead leader goes unnoticed.

    Raises:
        ConfigError: names every setting that is wrong.
    """

    raft_config: RaftConfig = field(default_factory=RaftConfig)
    cluster_id: str = "default"
    #: Peers of a static cluster, this node among them; every node is given the same.
    initial_peers: Peers | None = None

    #: Certificates for all connections, of peers and of clients; None: nothing is encrypted, and
    #: anybody who reaches the port is believed. See docs/security.md.
    tls: TlsConfig | None = None

    #: Where `LmdbStorage.create` puts its directory if it is given none.
    log_dir: str | Path = "./logs"
    #: Size of the LMDB map, the most a log may grow to. The file is sparse: only what is used
    #: takes space.
    lmdb_map_size: int = 64 << 30
    #: Decoded entries kept in memory, so that recent ones are never read back from disk.
    entry_cache_bytes: int = 64 * MIB

    #: Disaster recovery: found a new cluster of this node alone, whose state machine begins with
    #: this snapshot (a file, or a directory with one) of an old cluster. See docs/operations.md.
    bootstrap_from_snapshot: str | Path | None = None

    #: A learner this many entries behind what is committed is not made a voter, unless forced.
    learner_max_lag: int = 1_000

    tick_interval: float = 0.1
    #: How long `propose` and reads wait in all, waiting for a leader included.
    proposal_timeout: float = 10.0
    conf_change_request_timeout: float = 10.0
    #: Deadline of one connection attempt and of calls that only ask.
    request_timeout: float = 5.0
    #: How long `quit` waits for what is under way.
    shutdown_timeout: float = 10.0

    #: A snapshot is taken once this many entries were applied since the last; 0: never for that.
    snapshot_entries: int = 100_000
    #: The same in seconds, if at least one entry was applied meanwhile; 0: never for this reason.
    snapshot_interval: float = 0.0
    #: The same in bytes of applied entries; 0: never for this reason.
    snapshot_bytes: int = 256 * MIB
    #: Entries kept behind a snapshot for followers that are only a little late.
    snapshot_keep_entries: int = 10_000
    #: Entries discarded in one transaction; what is to be appended comes in between.
    purge_batch_entries: int = 16_384
    #: Whether entries that are discarded from the log are kept, in `compacted_log_dir`.
    save_compacted_logs: bool = False
    #: Where, for `raftify-cli describe logs --archive`; a directory of this node's own.
    compacted_log_dir: str | Path = "./compacted-logs"
    #: Bytes of discarded entries to keep, after which the oldest go; 0: all.
    compacted_log_size_threshold: int = 1 << 30
    snapshot_chunk_bytes: int = 1 * MIB
    #: A leader whose oldest disk write is under way for longer than this gives up its office.
    disk_stall_timeout: float = 5.0
    #: How long one snapshot may take to travel.
    snapshot_timeout: float = 600.0

    #: How long after the last commit a leader with nothing else to send tells its followers of it;
    #: 0 sends each of them a message of its own at once. Under load the next entries bring the
    #: word, and half of all messages are saved. A read by `read_index` never waits for this.
    commit_notice_delay: float = 0.01

    #: Largest proposal. A larger one is ProposalTooLarge.
    max_proposal_bytes: int = 4 * MIB
    #: Requests waiting for the core; beyond it `propose` fails with Overloaded and peers wait.
    inbox_limit: int = 65_536
    #: Bytes and messages waiting for one peer; beyond it messages are dropped, which Raft repairs.
    #: A message to a peer may be as large, or as `max_grpc_message_bytes` if that is more.
    outbox_bytes: int = 64 * MIB
    outbox_messages: int = 4_096
    #: Largest gRPC message, sent or received. Must exceed the largest proposal, and should be the
    #: same everywhere; larger ones of peers go in pieces. Whoever reaches the port can have the
    #: event loop copy one of that size, again and again, which takes it about 3 ms a MiB. See
    #: docs/security.md.
    max_grpc_message_bytes: int = 8 * MIB

    #: Connections taken at the same time, those of peers included; 0: as many as the limit
    #: of open files of the process allows, less some for the node itself.
    max_connections: int = 0
    #: Calls and streams of clients served at the same time; what comes beyond is Overloaded. The
    #: calls of members are not counted.
    max_client_calls: int = 1_000
    #: Largest snapshot that is taken from a peer.
    max_snapshot_bytes: int = 64 << 30

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        """Check everything, as making a Config does; for one that was changed since.

        Raises:
            ConfigError: names every setting that is wrong, at once.
        """
        faults = self._faults()
        if faults:
            raise ConfigError("bad configuration: " + "; ".join(faults))

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        prefix: str = "RAFTIFY_",
    ) -> Self:
        """Return the settings of a TOML file, of the environment, or of both.

            config = Config.load("raftify.toml")

        The file has the names of the fields, `[raft_config]` as a table, and the initial peers as
        `[[initial_peers]]` with `node_id`, `address` and, if it is no voter, `role`. A variable is
        `prefix` and the name in capitals: RAFTIFY_TICK_INTERVAL=0.2,
        RAFTIFY_RAFT_CONFIG__ELECTION_TICK=20, RAFTIFY_INITIAL_PEERS=1=a:60061,2=b:60061/learner.
        What Kubernetes sets for a service of that name (RAFTIFY_SERVICE_HOST, RAFTIFY_PORT, ...) is
        passed over; any other name is to be a setting.

        Args:
            path: the file; None: there is none.
            environment: the variables, those of the process if not given; `{}`: none. What they say
                goes before what the file says.

        Raises:
            ConfigError: the file cannot be read; or names everything that is wrong in both.
        """
        variables = os.environ if environment is None else environment
        table = {} if path is None else sources.table_of_file(path)
        table = sources.merged(table, sources.table_of_environment(variables, prefix))
        faults: list[str] = []
        arguments = sources.arguments_for(cls, table, faults)
        try:
            config = cls(**arguments)
        except ConfigError as error:
            faults.append(str(error).removeprefix("bad configuration: "))
        if faults:
            raise ConfigError("bad configuration: " + "; ".join(faults))
        return config

    def _faults(self) -> list[str]:
        faults = []
        positive = (
            "lmdb_map_size", "tick_interval", "proposal_timeout", "conf_change_request_timeout",
            "request_timeout", "shutdown_timeout", "disk_stall_timeout", "snapshot_chunk_bytes",
            "snapshot_timeout", "purge_batch_entries",
            "max_proposal_bytes", "inbox_limit", "outbox_bytes", "outbox_messages",
            "max_grpc_message_bytes", "max_client_calls", "max_snapshot_bytes",
        )  # fmt: skip
        not_negative = (
            "entry_cache_bytes", "snapshot_entries", "snapshot_interval", "snapshot_bytes",
            "snapshot_keep_entries", "commit_notice_delay", "learner_max_lag",
            "max_connections", "compacted_log_size_threshold",
        )  # fmt: skip
        for name in (*positive, *not_negative):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                faults.append(f"{name} must be a number, not {value!r}")
            elif isinstance(value, float) and not math.isfinite(value):
                faults.append(f"{name} must be finite, not {value!r}")
            elif abs(value) > _MOST:
                faults.append(f"{name} is too large: at most {_MOST} can be used")
            elif isinstance(value, float) and self._counts_something(name):
                faults.append(f"{name} must be a whole number, not {value!r}")
            elif value <= 0 and name in positive:
                faults.append(f"{name} must be above 0, not {value!r}")
            elif value < 0:
                faults.append(f"{name} must not be below 0, not {value!r}")
        if not isinstance(self.cluster_id, str) or not self.cluster_id.strip():
            faults.append("cluster_id must be a text that is not empty")
        faults += self._path_faults()
        peers: object = self.initial_peers
        if peers is not None and not isinstance(peers, Peers):
            faults.append(f"initial_peers must be Peers({{1: 'host:port', ...}}), not {peers!r}")
        tls: object = self.tls
        if isinstance(tls, TlsConfig):
            faults += [f"tls: {fault}" for fault in tls.faults()]
        elif tls is not None:
            faults.append(f"tls must be a TlsConfig, not {tls!r}")
        if not faults:
            faults += self._algorithm_faults()
        if not faults and self.max_grpc_message_bytes < self.max_proposal_bytes + MIB:
            faults.append(
                "max_grpc_message_bytes must exceed max_proposal_bytes by at least 1 MiB, or a "
                "large proposal could be accepted and never reach a follower"
            )
        return faults

    def _path_faults(self) -> list[str]:
        paths: dict[str, object] = {
            "log_dir": self.log_dir,
            "compacted_log_dir": self.compacted_log_dir,
        }
        if self.bootstrap_from_snapshot is not None:
            paths["bootstrap_from_snapshot"] = self.bootstrap_from_snapshot
        faults = [
            f"{name} must be a path, not {value!r}"
            for name, value in paths.items()
            if not isinstance(value, str | os.PathLike)
        ]
        keep: object = self.save_compacted_logs
        if not isinstance(keep, bool):
            faults.append(f"save_compacted_logs must be True or False, not {keep!r}")
        return faults

    @staticmethod
    def _counts_something(name: str) -> bool:
        """Say whether a setting counts bytes, entries, messages or calls, and not seconds."""
        return name.rpartition("_")[2] in _COUNTED

    def _algorithm_faults(self) -> list[str]:
        settings: object = self.raft_config
        if not isinstance(settings, RaftConfig):
            return [f"raft_config must be a RaftConfig, not {settings!r}"]
        faults = []
        try:
            # Which node it is for is not known yet.
            replace(settings, id=1, applied=0).validate()
        except ConfigError as error:
            faults.append(f"raft_config: {error}")
        # The core counts entries without their tags and lengths: 2 bytes for one of at least 4.
        least = settings.max_size_per_msg + settings.max_size_per_msg // 2 + MIB // 2
        if self.max_grpc_message_bytes < least:
            faults.append(
                "max_grpc_message_bytes must be at least one and a half times "
                f"raft_config.max_size_per_msg and 512 KiB, here {least}, or append messages of "
                "many small entries could not be sent"
            )
        return faults
