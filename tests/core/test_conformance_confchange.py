"""Configuration changes against the golden files of etcd's raft."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftify.core.confchange import Changer
from raftify.core.describe import describe_configuration, describe_progress
from raftify.core.tracker import ProgressTracker
from raftify.core.types import ConfChangeSingle, ConfChangeType
from raftify.errors import ConfChangeRejected
from tests.core.datadriven import Directive, conformance_files, run

CHANGE_TYPES = {
    "v": ConfChangeType.ADD_NODE,
    "l": ConfChangeType.ADD_LEARNER_NODE,
    "r": ConfChangeType.REMOVE_NODE,
}


@pytest.mark.parametrize("path", conformance_files("confchange"))
def test_confchange_conformance(path: Path) -> None:
    run(path, Script().handle)


class Script:
    """The tracker that a file's commands work on; each command takes up one index."""

    def __init__(self) -> None:
        self.tracker = ProgressTracker(max_inflight=10)
        self.last_index = 0

    def handle(self, directive: Directive) -> str:
        changer = Changer(self.tracker)
        changes = parse_changes(directive.input)
        try:
            match directive.command:
                case "simple":
                    conf, map_change = changer.simple(changes)
                case "enter-joint":
                    auto_leave = directive.arguments.get("autoleave") == ["true"]
                    conf, map_change = changer.enter_joint(changes, auto_leave=auto_leave)
                case "leave-joint":
                    assert not changes
                    conf, map_change = changer.leave_joint()
                case unknown:
                    raise ValueError(f"line {directive.line}: unknown command {unknown}")
        except ConfChangeRejected as rejection:
            return str(rejection)
        else:
            self.tracker.apply_conf(conf, map_change, self.last_index)
            return self.describe()
        finally:
            self.last_index += 1

    def describe(self) -> str:
        tracker = self.tracker
        lines = [describe_configuration(tracker.conf)]
        for node_id, progress in tracker.progress.items():
            is_learner = node_id in tracker.conf.learners
            lines.append(f"{node_id}: {describe_progress(progress, is_learner=is_learner)}")
        return "\n".join(lines)


def parse_changes(text: str) -> list[ConfChangeSingle]:
    """Return the changes of an input such as `v1 l2 r3`.

    etcd's `u1`, by which applications pass a blob along, touches no configuration.
    """
    return [
        ConfChangeSingle(CHANGE_TYPES[word[0]], int(word[1:]))
        for word in text.split()
        if word[0] != "u"
    ]
