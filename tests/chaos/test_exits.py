"""How a node's process ended is judged: by itself only because of its disk, and never unseen."""

from __future__ import annotations

import random
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from examples.children import EXIT_ORPHANED, Child, ChildFailed, Children
from raftify.errors import (
    DeadlineExceeded,
    InvariantViolation,
    JoinRejected,
    NodeRemoved,
    PeerUnreachable,
    StateMachineError,
    StorageDamaged,
    StorageFull,
)
from tests.chaos.cluster import Cluster, Machine, NotSettled
from tests.chaos.exits import BROKEN, DISK_FAILED, NOT_JOINED, NotJoined, exit_code
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
    assert BROKEN not in (0, DISK_FAILED, EXIT_ORPHANED, NOT_JOINED)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (PeerUnreachable(), NOT_JOINED),
        (DeadlineExceeded(), NOT_JOINED),
        (JoinRejected(), NOT_JOINED),
        (InvariantViolation(), BROKEN),
        (StorageDamaged(), BROKEN),
        (KeyError("a bug"), BROKEN),
    ],
)
def test_who_could_not_join_says_so_only_for_reasons_of_the_others(
    reason: Exception, code: int
) -> None:
    error = NotJoined("not added")
    error.__cause__ = reason
    assert exit_code(error) == code


class Ended:
    """A child that has ended."""

    running = False
    log = Path("m1.txt")

    def __init__(self, code: int) -> None:
        self._code = code

    async def gone(self) -> None:
        pass

    async def call(self, command: str, *_arguments: object, timeout: float = 0) -> Any:
        raise ChildFailed("ChildGone", "has ended", rejected=False, outcome_unknown=True)

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


class Spawned(Children):
    """Whoever is spawned has ended with `code`."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self._code = code

    async def spawn(
        self, module: str, *arguments: str, log: Path, under: Sequence[str] = ()
    ) -> Child:
        return cast("Child", Ended(self._code))


@pytest.mark.parametrize("code", [0, DISK_FAILED, BROKEN, EXIT_ORPHANED, -signal.SIGSEGV])
async def test_a_joiner_may_end_by_itself_only_because_it_could_not_join(
    code: int, tmp_path: Path
) -> None:
    scene, machine = scene_with(code, tmp_path)
    scene.cluster.children = Spawned(code)
    with pytest.raises(NotSettled, match=f"m1 ended with {code} instead of {NOT_JOINED}"):
        await scene.cluster.try_to_join(machine)
    with pytest.raises(NotSettled, match=f"m1 ended with {code} instead of -9"):
        await scene.cluster.start_in_vain(machine, 0)
    scene.cluster.children = Spawned(NOT_JOINED)
    assert not await scene.cluster.try_to_join(machine)
