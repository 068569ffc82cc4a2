"""Every public call with the kinds of its arguments (`bad_values`), and one way to try them all."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from raftify import ConfChangeSingle, ConfChangeType, ConfChangeV2
from raftify.errors import RaftifyError
from tests.cluster.bad_values import KINDS

Table = Mapping[str, Mapping[str, str]]

_TIMED: Final = {"timeout": "timeout"}
_CHANGE: Final = {
    "peers": "own_peers",
    "change": "change",
    "add": "members",
    "add_learners": "members",
    "remove": "ids",
    "transition": "transition",
    "force": "flag",
    "timeout": "timeout",
}

#: The same words for a node and for a client.
_MEMBERSHIP: Final[Table] = {
    "change_membership": {
        "voters": "voters",
        "retain": "flag",
        "force": "flag",
        "timeout": "timeout",
    },
    "add_learner": {
        "node_id": "new_id",
        "address": "address",
        "metadata": "metadata",
        "blocking": "flag",
        "timeout": "timeout",
    },
    "wait_for_member": {"node_id": "node_id", "timeout": "timeout"},
    "add_peer": {"node_id": "new_id", "address": "address", "role": "role", "timeout": "timeout"},
    "add_peers": {"peers": "peers", "timeout": "timeout"},
    "change_config": _CHANGE,
    "leave_joint": _TIMED,
}

RAFT: Final[Table] = {
    "bootstrap": {
        "node_id": "new_id",
        "raft_addr": "address",
        "log_storage": "storage",
        "fsm": "fsm",
        "config": "config",
        "logger": "logger",
        "transport": "transport",
        "random": "source",
    },
    "request_id": {
        "raft_addr": "address",
        "peer_addr": "address",
        "identity": "identity",
        "timeout": "timeout",
        "config": "config",
    },
    "join_cluster": {"tickets": "tickets", "timeout": "timeout"},
    "run": {},
    "quit": {"handover": "flag"},
    "leave": {"timeout": "timeout", "force": "flag"},
    "propose": {"data": "payload", "timeout": "timeout", "term": "term"},
    "propose_many": {"data": "payloads", "timeout": "timeout"},
    "propose_nowait": {"data": "payload", "timeout": "timeout"},
    "query": {"data": "question", "stale": "flag", "timeout": "timeout"},
    "read_index": _TIMED,
    "wait_for_recovery": _TIMED,
    "initialize": {"members": "first_members", "timeout": "timeout"},
    **_MEMBERSHIP,
    "get_peers": {},
    "get_cluster_size": {},
    "is_leader": {},
    "get_id": {},
    "get_leader_id": {},
    "wait_for_leader": _TIMED,
    "transfer_leader": {"node_id": "successor", "timeout": "timeout"},
    "on_leader_change": {"start": "callback", "stop": "stop"},
    "demote": _TIMED,
    "campaign": _TIMED,
    "make_snapshot": _TIMED,
    "purge_log": {"index": "index", "timeout": "timeout"},
    "ping": _TIMED,
    "send_message": {"message": "message", "timeout": "timeout"},
    "state_machine": {},
    "storage": {},
    "inspect": {"decoder": "decoder"},
    "metrics": {},
    "watch": {"interval": "interval"},
    "wait": _TIMED,
}
WAIT: Final[Table] = {
    "until": {"holds": "callback", "what": "text"},
    "applied_index_at_least": {"index": "index"},
    "committed_at_least": {"index": "index"},
    "log_at_least": {"index": "index"},
    "snapshot": {"index": "index"},
    "purged": {"index": "index"},
    "leader": {"node_id": "leader_id"},
    "members": {"voters": "ids", "learners": "own_ids"},
}
CLIENT: Final[Table] = {
    "close": {},
    "propose": {"data": "payload", "timeout": "timeout"},
    "propose_many": {"data": "payloads", "timeout": "timeout"},
    "query": {"data": "question", "stale": "flag", "timeout": "timeout"},
    "read_index": _TIMED,
    **_MEMBERSHIP,
    "request_id": {"raft_addr": "address", "identity": "identity", "timeout": "timeout"},
    "get_peers": _TIMED,
    "set_peers": {"peers": "moved", "timeout": "timeout"},
    "transfer_leader": {"to": "successor", "timeout": "timeout"},
    "initialize": {"members": "first_members", "timeout": "timeout"},
    "debug_node": _TIMED,
    "metrics": _TIMED,
    "read_state": _TIMED,
    "create_snapshot": _TIMED,
    "send_message": {"message": "message", "timeout": "timeout"},
}
#: By dotted name; not methods of a running node or of a client.
MAKERS: Final[Table] = {
    "create_client": {
        "addr": "addresses",
        "timeout": "timeout",
        "cluster_id": "cluster_id",
        "config": "config",
        "connect": "connect",
        "source": "source",
    },
    "Address.parse": {"text": "address"},
    "Peers": {"peers": "peers"},
    "Config.load": {"path": "file", "environment": "environment", "prefix": "prefix"},
    "LmdbStorage.create": {"log_dir": "directory", "config": "config", "logger": "logger"},
    "LmdbStorage.open_readonly": {"log_dir": "directory"},
    "RocksDbStorage.create": {"log_dir": "directory", "config": "config", "logger": "logger"},
}
#: What `LmdbStorage.open_readonly` returns.
LOG_READER: Final[Table] = {
    "close": {},
    "entries": {"low": "own_index", "high": "own_index"},
    "open": {"path": "directory"},
    "open_snapshot": {},
    "refresh": {},
    "verify": {},
}
_NO_CHANGE: Final = ConfChangeV2(changes=(ConfChangeSingle(ConfChangeType.REMOVE_NODE, 999),))
#: What stands beside the argument that is tried, in all of a call or for one argument of it.
BESIDE: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    ("change_config", ""): {"remove": [999]},
    ("change_config", "remove"): {"add": [1]},
    ("change_config", "change"): {},
    ("change_config", "peers"): {"change": _NO_CHANGE},
    ("wait_for_member", "timeout"): {"node_id": 1},
    # Some values are good addresses, at which nobody answers: no need to wait the usual 10 s.
    ("request_id", ""): {"timeout": 1.0},
}
#: Seconds; every refusal comes long before.
DEADLINE: Final = 20.0


def public_calls(kind: type) -> dict[str, list[str]]:
    """Return the parameters of each public function of a class."""
    return {
        name: parameters(getattr(kind, name))
        for name in dir(kind)
        if not name.startswith("_") and callable(getattr(kind, name))
    }


def parameters(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


async def faults_of(function: Callable[..., Any], name: str, kinds: Mapping[str, str]) -> list[str]:
    """Give `function` every bad value for every argument; return what it did instead of refusing.

    The other arguments are good, so that what is refused is the bad one.
    """
    faults = []
    known = inspect.signature(function).parameters
    needed = {
        argument: KINDS[kind].good
        for argument, kind in kinds.items()
        if known[argument].default is inspect.Parameter.empty
    }
    for argument, kind in kinds.items():
        also = BESIDE.get((name, argument), BESIDE.get((name, ""), {}))
        for what, value in KINDS[kind].bad():
            outcome = await _outcome(function, {**needed, **also, argument: value})
            if not isinstance(outcome, RaftifyError):
                faults.append(f"{name}({argument}={value!r:.60}), {what}: {outcome!r:.200}")
    return faults


async def _outcome(function: Callable[..., Any], arguments: Mapping[str, Any]) -> object:
    """Return what a call returned or raised."""
    try:
        async with asyncio.timeout(DEADLINE):
            result = function(**arguments)
            if inspect.isawaitable(result):
                result = await result
    except Exception as error:  # noqa: BLE001 - whatever it is, the test judges it
        return error
    return result
