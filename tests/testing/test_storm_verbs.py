"""Storms call every verb of the product: what no storm does, no storm can find broken."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from raftify.client.service_client import RaftServiceClient
from raftify.raft import Raft
from raftify.testing import storm
from raftify.testing.storm import spectator
from raftify.waiting import Wait

#: What storms call an object of each class, the last name before the verb; `changes` is a node or a
#: client, as a storm draws.
CALLED: dict[type, set[str]] = {
    Raft: {"raft", "facade", "changes"},
    RaftServiceClient: {"client", "changes", "_remote"},
}
#: What storms do not call in their own source, and why.
ELSEWHERE = {
    (Raft, "bootstrap"): "a simulated machine opens its own disk and makes the node itself",
    (Raft, "run"): "simulated machines run their nodes, from every start to every end",
    (Raft, "quit"): "SimulatedNode.stop calls it",
    (Raft, "leave"): "SimulatedNode.leave calls it",
    (Raft, "request_id"): "it dials by gRPC; SimulatedCluster.ticket asks in the same way",
    (Raft, "storage"): "a disk is looked at from outside, and never by its node's user",
    (RaftServiceClient, "request_id"): "SimulatedCluster.ticket calls it",
}


def verbs(of: type) -> set[str]:
    """Return the names of all that a user of the class may call or read."""
    return {name for name, _ in inspect.getmembers(of) if not name.startswith("_")}


def called(names: set[str]) -> set[str]:
    """Return what the storms' source takes from objects of these names."""
    folder = Path(storm.__file__).parent
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.py"))]
    return {verb for tree in trees for node in ast.walk(tree) for verb in _taken(node, names)}


def _taken(node: ast.AST, names: set[str]) -> set[str]:
    match node:
        case ast.Attribute(ast.Name(name) | ast.Attribute(_, name), verb) if name in names:
            return {verb}
    return set()


@pytest.mark.parametrize("of", CALLED, ids=lambda of: of.__name__)
def test_every_public_verb_is_called_by_a_storm_or_has_its_reason(of: type) -> None:
    reasons = {name for cls, name in ELSEWHERE if cls is of}
    assert verbs(of) - called(CALLED[of]) == reasons


def test_every_thing_to_wait_for_is_drawn_by_the_spectator() -> None:
    drawn = {
        node.value
        for node in ast.walk(ast.parse(inspect.getsource(spectator)))
        if isinstance(node, ast.Constant)
    }
    assert verbs(Wait) <= drawn


def test_the_look_at_the_source_tells_a_verb_of_a_client_from_one_of_a_node() -> None:
    assert "set_peers" in called({"client"})
    assert "set_peers" not in called({"raft", "facade"})
