"""Child processes: commands and their failures cross the pipe, and no child outlives its parent."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from examples.children import Child, ChildFailed, Children, free_ports
from tests.examples.processes import ended, program

CHILD = "tests.examples.echo_child"


async def test_answers_come_back_to_whoever_asked(tmp_path: Path) -> None:
    async with Children() as children:
        child = await children.spawn(CHILD, log=tmp_path / "log")
        texts = [f"{n} é \n" * n for n in range(50)]
        assert await asyncio.gather(*(child.call("echo", text) for text in texts)) == texts
        assert await child.quit() == 0
        assert (tmp_path / "log").read_bytes() == b""


async def test_a_failure_says_whether_something_may_have_happened(tmp_path: Path) -> None:
    async with Children() as children:
        child = await children.spawn(CHILD, log=tmp_path / "log")
        with pytest.raises(ChildFailed, match="NoLeader: there is none") as refused:
            await child.call("refuse")
        assert (refused.value.rejected, refused.value.outcome_unknown) == (True, False)
        with pytest.raises(ChildFailed, match="DeadlineExceeded: who knows") as lost:
            await child.call("lose")
        assert (lost.value.rejected, lost.value.outcome_unknown) == (False, True)
        assert await child.call("echo", "still here") == "still here"


async def test_a_call_ends_with_its_child(tmp_path: Path) -> None:
    """Whether by SIGKILL or by a bug, whoever waits learns that the outcome is not known."""
    async with Children() as children:
        killed = await children.spawn(CHILD, log=tmp_path / "killed")
        waiting = asyncio.create_task(killed.call("wait"))
        assert await killed.call("echo", "ready") == "ready"
        await killed.kill()
        with pytest.raises(ChildFailed, match="has ended") as gone:
            await waiting
        assert gone.value.outcome_unknown
        with pytest.raises(ChildFailed, match="has ended"):
            await killed.call("echo", "too late")

        broken = await children.spawn(CHILD, log=tmp_path / "broken")
        with pytest.raises(ChildFailed, match="has ended"):
            await broken.call("fail")
        assert "ZeroDivisionError: a bug" in (tmp_path / "broken").read_text()


async def test_a_call_has_a_deadline_and_a_stubborn_child_is_killed(tmp_path: Path) -> None:
    async with Children() as children:
        child = await children.spawn(CHILD, log=tmp_path / "log")
        with pytest.raises(ChildFailed, match="wait took over"):
            await child.call("wait", timeout=0.05)
        assert await child.quit(timeout=0.2) == -signal.SIGKILL


async def test_leaving_the_context_ends_every_child(tmp_path: Path) -> None:
    children: list[Child] = []
    with pytest.raises(ZeroDivisionError):  # noqa: PT012  # the error has to rise through `Children`
        async with Children() as group:
            children += [await group.spawn(CHILD, log=tmp_path / "log") for _ in range(2)]
            raise ZeroDivisionError
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child.pid, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_no_child_outlives_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    async with program("-m", "tests.examples.parent", str(tmp_path / "log")) as parent:
        assert parent.stdout is not None
        child = int(await parent.stdout.readline())
        os.kill(child, 0)
        parent.send_signal(number)
        await parent.communicate()
        await ended([child], timeout=10.0)


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20
