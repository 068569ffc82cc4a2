"""How a node's process ended is judged: by itself only because of its disk, and never unseen."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import cast

import pytest

from examples.children import EXIT_ORPHANED, Child, Children
from raftify.errors import (
    DeadlineExceeded,
    InvariantViolation,
    NodeRemoved,
    StateMachineError,
    StorageDamaged,
    StorageFull,
)
from tests.chaos.cluster import Cluster, Machine, NotSettled
from tests.chaos.exits import BROKEN, DISK_FAILED, exit_code
from tests.chaos.proxy import ProxyNetwork
from tests.chaos.scene import Scene
from tests.chaos.volumes import Directory
from tests.chaos.workload import Workload


@pytest.mark.parametrize("error", [StorageFull(), StorageDamaged(), NodeRemoved()])
def test_a_node_whose_disk_failed_or_that_was_removed_says_so(error: Exception) -> None:
    assert exit_code(error) == DISK_FAILED


@pytest.mark.parametrize(
    "error", [InvariantViolation(), StateMachineError("x"), DeadlineExceeded(), KeyError("a bug")]
)
def test_any_other_end_is_told_from_it(error: Exception) -> None:
    assert exit_code(error) == BROKEN
    assert BROKEN not in (0, DISK_FAILED, EXIT_ORPHANED)


class Ended:
    """A child that has ended."""

    running = False
    log = Path("m1.txt")

    def __init__(self, code: int) -> None:
        self._code = code

    async def gone(self) -> None:
        pass

    async def kill(self) -> None:
        pass

    async def quit(self) -> int:
        return self._code


def scene_with(code: int, directory: Path) -> tuple[Scene, Machine]:
    """Return a scene of one machine, whose node has ended with `code`."""
    machine = Machine("m1", "127.0.0.1:1", Directory(directory), cast("Child", Ended(code)))
    cluster = Cluster(ProxyNetwork(), Directory, directory, Children(), {"m1": machine})
    source = random.Random(1)
    return Scene(cluster, cast("Workload", None), source), machine


@pytest.mark.parametrize("code", [0, BROKEN, -signal.SIGBUS, -signal.SIGKILL])
async def test_a_node_may_end_because_of_its_disk_only_with_the_code_for_it(
    code: int, tmp_path: Path
) -> None:
    scene, machine = scene_with(code, tmp_path)
    with pytest.raises(NotSettled, match=f"m1 ended with {code} instead of {DISK_FAILED}"):
        await scene.until_ended(machine, 1)
    scene, machine = scene_with(DISK_FAILED, tmp_path)
    assert await scene.until_ended(machine, 1)
    assert machine.child is None


@pytest.mark.parametrize("code", [DISK_FAILED, BROKEN, -signal.SIGSEGV, -signal.SIGKILL])
async def test_an_orderly_end_is_one_with_0(code: int, tmp_path: Path) -> None:
    scene, machine = scene_with(code, tmp_path)
    with pytest.raises(NotSettled, match=f"m1 ended with {code} instead of 0"):
        await scene.cluster.end(machine)
    scene, machine = scene_with(0, tmp_path)
    await scene.cluster.end(machine)
    assert machine.child is None


@pytest.mark.parametrize("code", [0, DISK_FAILED, BROKEN, -signal.SIGSEGV])
async def test_a_node_that_had_ended_before_it_was_killed_is_noticed(
    code: int, tmp_path: Path
) -> None:
    scene, machine = scene_with(code, tmp_path)
    with pytest.raises(NotSettled, match=f"m1 ended with {code} instead of -9"):
        await scene.cluster.kill(machine)
    scene, machine = scene_with(-signal.SIGKILL, tmp_path)
    await scene.cluster.kill(machine)
    assert machine.child is None
