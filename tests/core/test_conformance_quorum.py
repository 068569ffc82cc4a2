"""Quorums against the golden files of etcd's raft and raft-rs, and against themselves."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from raftify.core.quorum import UNBOUNDED_INDEX, AckedIndex, JointConfig, MajorityConfig
from tests.core.datadriven import Directive, conformance_files, run

EMPTY = MajorityConfig()


@pytest.mark.parametrize("path", conformance_files("quorum"))
def test_quorum_conformance(path: Path) -> None:
    run(path, handle)


def handle(directive: Directive) -> str:
    """Return what the directive prints; a computation that ought to agree and does not shows."""
    arguments = directive.arguments
    config = MajorityConfig(frozenset(map(int, arguments.get("cfg", []))))
    other = arguments.get("cfgj")
    joint = None
    if other is not None:
        outgoing = [] if other == ["zero"] else [int(node_id) for node_id in other]
        joint = JointConfig(config, MajorityConfig(frozenset(outgoing)))
    given = arguments.get("votes" if directive.command == "vote" else "idx", [])
    voters = in_order(directive)
    if len(given) != len(voters):
        return f"error: mismatched input for voters {voters}: {given}"
    if directive.command == "vote":
        votes = {
            voter: vote == "y" for voter, vote in zip(voters, given, strict=True) if vote != "_"
        }
        return vote(config, joint, votes)
    groups = arguments.get("gid", ["_"] * len(voters))
    acked = {
        voter: AckedIndex(int(index), 0 if group == "_" else int(group))
        for voter, index, group in zip(voters, given, groups, strict=True)
        if index != "_"
    }
    if directive.command == "group_committed":
        return committed(config, joint, acked, use_group_commit=True)
    assert directive.command == "committed"
    drawing = (config if joint is None else joint).describe(acked)
    return drawing + committed(config, joint, acked, use_group_commit=False)


def in_order(directive: Directive) -> list[int]:
    """Return the voters in the order in which the file names their values."""
    ids = directive.arguments.get("cfg", []) + directive.arguments.get("cfgj", [])
    return [int(node_id) for node_id in dict.fromkeys(ids) if node_id != "zero"]


def vote(config: MajorityConfig, joint: JointConfig | None, votes: Mapping[int, bool]) -> str:
    result = (config if joint is None else joint).vote_result(votes.get)
    lines = [result.value]
    for how, alternative in alternatives(config, joint).items():
        other = alternative.vote_result(votes.get)
        if other is not result:
            lines.append(f"{other.value} <-- via {how}")
    return "\n".join(lines)


def committed(
    config: MajorityConfig,
    joint: JointConfig | None,
    acked: dict[int, AckedIndex],
    *,
    use_group_commit: bool,
) -> str:
    subject = config if joint is None else joint
    result = subject.committed_index(acked, use_group_commit=use_group_commit)[0]
    lines = []
    for how, alternative in alternatives(config, joint).items():
        other = alternative.committed_index(acked, use_group_commit=use_group_commit)[0]
        if other != result:
            lines.append(f"{other} <-- via {how}")
    for voter, ack in acked.items():
        if use_group_commit or ack.matched >= result:
            continue
        for lower in (ack.matched - 1, 0):
            other = subject.committed_index(acked | {voter: AckedIndex(lower)})[0]
            if other != result:
                lines.append(f"{other} <-- overlaying {voter}->{lower}")
    lines.append("∞" if result == UNBOUNDED_INDEX else str(result))
    return "\n".join(lines)


def alternatives(config: MajorityConfig, joint: JointConfig | None) -> dict[str, JointConfig]:
    """Return the joint configurations that must decide as the one under test does."""
    if joint is not None:
        return {"symmetry": JointConfig(joint.outgoing, joint.incoming)}
    return {
        "zero-joint quorum": JointConfig(config, EMPTY),
        "joining the empty quorum": JointConfig(EMPTY, config),
        "self-joint quorum": JointConfig(config, config),
    }


def test_the_checks_notice_a_configuration_that_differs() -> None:
    """Lowering an index that the result rests on must show up as a difference."""
    config = MajorityConfig(frozenset({1, 2, 3}))
    indices = [
        config.committed_index({1: AckedIndex(5), 2: AckedIndex(lowered)})[0]
        for lowered in (5, 4, 0)
    ]
    assert indices == [5, 4, 0]
    assert all(higher > lower for higher, lower in pairwise(indices))
