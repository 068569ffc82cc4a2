"""Settings from a file and from the environment, and what is said of those that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftify import Config, InitialRole, Peer, Peers, RaftConfig, ReadOnlyOption
from raftify.errors import ConfigError

FILE = """
cluster_id = "orders"
tick_interval = 0.05
snapshot_interval = 60          # a whole number does for seconds
log_dir = "/var/lib/orders"

[raft_config]
election_tick = 20
heartbeat_tick = 2
pre_vote = false
read_only_option = "lease_based"

[[initial_peers]]
node_id = 1
address = "10.0.0.1:60061"
role = "leader"

[[initial_peers]]
node_id = 2
address = "10.0.0.2:60061"
metadata = "rack 7"

[[initial_peers]]
node_id = 3
address = "10.0.0.3:60061"
role = "learner"
"""


def written(directory: Path, text: str) -> Path:
    path = directory / "raftify.toml"
    path.write_text(text)
    return path


def test_a_file(tmp_path: Path) -> None:
    config = Config.load(written(tmp_path, FILE), environment={})
    assert config == Config(
        cluster_id="orders",
        tick_interval=0.05,
        snapshot_interval=60.0,
        log_dir="/var/lib/orders",
        raft_config=RaftConfig(
            election_tick=20,
            heartbeat_tick=2,
            pre_vote=False,
            read_only_option=ReadOnlyOption.LEASE_BASED,
        ),
        initial_peers=Peers(
            [
                Peer(1, "10.0.0.1:60061", initial_role=InitialRole.LEADER),
                Peer(2, "10.0.0.2:60061", metadata=b"rack 7"),
                Peer(3, "10.0.0.3:60061", initial_role=InitialRole.LEARNER),
            ]
        ),
    )


def test_what_kubernetes_sets_for_a_service_of_that_name_is_passed_over() -> None:
    links = {
        "RAFTIFY_SERVICE_HOST": "10.0.0.7",
        "RAFTIFY_SERVICE_PORT": "60061",
        "RAFTIFY_SERVICE_PORT_GRPC": "60061",
        "RAFTIFY_PORT": "tcp://10.0.0.7:60061",
        "RAFTIFY_PORT_60061_TCP": "tcp://10.0.0.7:60061",
        "RAFTIFY_PORT_60061_TCP_PROTO": "tcp",
        "RAFTIFY_PORT_60061_TCP_PORT": "60061",
        "RAFTIFY_PORT_60061_TCP_ADDR": "10.0.0.7",
    }
    assert Config.load(environment=links) == Config()
    with pytest.raises(ConfigError, match="service_hosts"):
        Config.load(environment={"RAFTIFY_SERVICE_HOSTS": "10.0.0.7"})


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    environment = {
        "RAFTIFY_TICK_INTERVAL": "0.2",
        "RAFTIFY_LMDB_MAP_SIZE": "1_000_000",
        "RAFTIFY_RAFT_CONFIG__ELECTION_TICK": "30",
        "RAFTIFY_RAFT_CONFIG__PRE_VOTE": "on",
        "RAFTIFY_INITIAL_PEERS": "1=a:60061, 2=b:60061/learner",
        "TICK_INTERVAL": "7",
    }
    config = Config.load(written(tmp_path, FILE), environment=environment)
    assert config.tick_interval == 0.2
    assert config.lmdb_map_size == 1_000_000
    assert config.raft_config.election_tick == 30
    assert config.raft_config.heartbeat_tick == 2  # the file's
    assert config.raft_config.pre_vote
    assert config.cluster_id == "orders"
    learner = Peer(2, "b:60061", initial_role=InitialRole.LEARNER)
    assert config.initial_peers == Peers([Peer(1, "a:60061"), learner])
    alone = Config.load(environment={"RAFTIFY_INITIAL_PEERS": ""})
    assert alone == Config()


def test_another_prefix_and_the_process_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_CLUSTER_ID", "mine")
    assert Config.load(prefix="ORDERS_").cluster_id == "mine"
    assert Config.load(environment={}).cluster_id == "default"


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'tick = 1\ntick_interval = "soon"\nlmdb_map_size = -1\ncluster_id = " "\n'
        "[raft_config]\nelection_ticks = 3\npre_vote = 1\n[[initial_peers]]\nnode_id = 1\n",
    )
    with pytest.raises(ConfigError) as caught:
        Config.load(path, environment={"RAFTIFY_SHUTDOWN_TIMEOUT": "never"})
    text = str(caught.value)
    for part in (
        "tick is no setting; there are bootstrap_from_snapshot, cluster_id",
        "tick_interval must be a number, not 'soon'",
        "lmdb_map_size must be above 0, not -1",
        "cluster_id must be a text that is not empty",
        "raft_config: election_ticks is no setting",
        "raft_config: pre_vote must be true or false, not 1",
        "initial_peers: a peer has node_id, address, role and metadata, and one has no address",
        "shutdown_timeout must be a number, not 'never'",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("initial_peers = 7", "must be tables of node_id"),
        ('[[initial_peers]]\nnode_id = 1\naddress = "a:1"\nport = 2', "has 'port', which is none"),
        ('[[initial_peers]]\nnode_id = "1"\naddress = "a:1"', "a node id is an integer"),
        ('[[initial_peers]]\nnode_id = 1\naddress = "a"', "cannot read the address"),
        ('[[initial_peers]]\nnode_id = 1\naddress = "a:1"\nrole = "king"', "one of voter, learner"),
        ("raft_config = 3", "raft_config must be a table of settings"),
        ('[raft_config]\nread_only_option = "quick"', "must be one of safe, lease_based"),
        ("lmdb_map_size = 1.5", "lmdb_map_size must be a whole number, not 1.5"),
        ("lmdb_map_size = true", "lmdb_map_size must be a whole number, not True"),
        ("tick_interval = [1]", "tick_interval must be a number"),
        ("[raft_config]\nelection_tick = 1", "election_tick must be greater than heartbeat_tick"),
        ("a = ", "is no TOML"),
    ],
)
def test_one_fault(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config.load(written(tmp_path, text), environment={})


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("INITIAL_PEERS", "a:60061", "write it as '1=host:port'"),
        ("INITIAL_PEERS", "1=a:60061/king", "a peer's role is one of"),
        ("RAFT_CONFIG__PRE_VOTE", "perhaps", "must be true or false"),
        ("RAFT_CONFIG", "{}", "raft_config must be a table"),
        ("LMDB_MAP_SIZE", "1e6", "must be a whole number"),
        ("TICK_INTERVAL", "nan", "tick_interval must be finite"),
        ("", "x", "is no setting"),
    ],
)
def test_one_faulty_variable(variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config.load(environment={f"RAFTIFY_{variable}": value})


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere.toml: No such file"):
        Config.load(tmp_path / "nowhere.toml")


def test_a_config_that_was_changed_is_checked_again() -> None:
    config = Config()
    config.tick_interval = 0
    config.snapshot_entries = -1
    with pytest.raises(ConfigError) as caught:
        config.validate()
    assert "tick_interval" in str(caught.value)
    assert "snapshot_entries" in str(caught.value)
