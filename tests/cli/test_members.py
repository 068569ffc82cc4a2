"""`raftify-cli member`, `init`, `transfer`, `snapshot` against real nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftify.cli.main import EXIT_FINE, EXIT_NO_ANSWER, EXIT_USAGE, main
from tests.cli.running_program import Program
from tests.cluster.local_cluster import LocalCluster
from tests.ports import free_address

pytestmark = pytest.mark.slow


async def test_a_cluster_from_its_beginning_by_commands_alone(
    tmp_path: Path, program: Program
) -> None:
    async with LocalCluster(tmp_path, learner_max_lag=10) as cluster:
        nodes = [await cluster.waiting(i) for i in (1, 2, 3, 4)]
        one, two, three, four = (node.address for node in nodes)
        founded = await program.done("init", one, f"1={one}", f"2={two}", "--learner", f"3={three}")
        assert (founded["voters"], founded["learners"]) == ([1, 2], [3])
        await nodes[0].raft.wait(20).leader()
        assert (await nodes[0].raft.propose(b"a", timeout=30)) == b"a:1"

        code, out, err = await program.cli("member", "list", two)
        assert (code, err) == (EXIT_FINE, "")
        assert "Membership, since index 1" in out
        assert out.count("leader") == 1
        listed = await program.done("member", "list", f"127.0.0.1:1,{two}")
        assert listed["leader_id"] in (1, 2)

        learner = await program.done(
            "member", "add-learner", two, f"4={four}", "--metadata", "rack 7"
        )
        assert learner["learners"] == [3, 4]
        assert nodes[0].raft.get_peers()[4].metadata == b"rack 7"
        assert (await program.done("member", "promote", one, 3, 4))["voters"] == [1, 2, 3, 4]
        demoted = await program.done("member", "demote", one, 2)
        assert (demoted["voters"], demoted["learners"]) == ([1, 3, 4], [2])
        changed = await program.done("member", "change", one, 2, 3, "--retain")
        assert (changed["voters"], changed["learners"]) == ([2, 3], [1, 4])
        assert sorted((await program.done("member", "remove", two, 1, 4))["peers"]) == ["2", "3"]
        code, out, err = await program.cli("member", "remove", two, 4)
        assert (code, err) == (EXIT_FINE, "note: node 4 is no member\n")

        assert await program.done("transfer", two, 3) == {"leader_id": 3}
        assert nodes[2].raft.is_leader()
        code, out, err = await program.cli("transfer", two, 2)
        assert (code, out, err) == (EXIT_FINE, "node 2 leads\n", "")
        assert await program.done("transfer", two) == {"leader_id": 3}
        await program.done("transfer", two, 2)
        taken = await program.done("snapshot", three)
        assert taken["index"] == nodes[2].raft.metrics().snapshot > 0
        assert (await program.done("member", "leave-joint", two))["voters"] == [2, 3]
        assert (await nodes[1].raft.propose(b"a")) == b"a:2"


async def test_refusals_say_why_and_change_nothing(tmp_path: Path, program: Program) -> None:
    async with LocalCluster(tmp_path, learner_max_lag=10) as cluster:
        founder = await cluster.found()
        at = founder.address
        before = founder.raft.metrics().membership
        assert "node 9 is no member" in await program.refused("member", "promote", at, 9)
        assert "node 9 is no member" in await program.refused("member", "demote", at, 9)
        assert "no voter" in await program.refused("member", "remove", at, 1)
        assert "node 9 is no voter" in await program.refused("transfer", at, 9)
        assert "a member of [1] already" in await program.refused("init", at, f"1={at}", "2=a:1")
        assert founder.raft.metrics().membership == before
        away = free_address()
        told = await program.refused("member", "add-learner", at, f"2={away}", "--timeout", "1")
        assert "the catching up of node 2" in told
        assert "which is safe" in told
        for number in range(20):
            await founder.raft.propose(f"e{number}".encode())
        assert "entries behind" in await program.refused("member", "promote", at, 2)
        code, out, err = await program.cli("member", "update", at, "9=a:1")
        assert (code, out) == (EXIT_USAGE, "")
        assert "addresses of members, and [9] are none" in err
        moved = free_address()
        assert (await program.done("member", "update", at, f"2={moved}"))["peers"]["2"][
            "address"
        ] == moved


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("member",), "required: COMMAND"),
        (("member", "add", "a:1"), "required: ID=HOST:PORT"),
        (("member", "add", "a:1", "2"), "'2' is no ID=HOST:PORT"),
        (("member", "add", "a:1", "2="), "'2=' is no ID=HOST:PORT"),
        (("member", "add", "a:1", "x=b:1"), "'x' is no whole number"),
        (("member", "add", "a:1", "0=b:1"), "node ids begin at 1"),
        (("member", "add", "a:1", "2=nowhere"), "address 'nowhere'"),
        (("member", "add", "a:1", "2=b:1", "2=c:1"), "node 2 is named twice"),
        (("member", "add", "nowhere", "2=b:1"), "address 'nowhere'"),
        (("member", "add", "a:1,", "2=b:1"), "address ''"),
        (("member", "add", "a:1", "9" * 5000 + "=b:1"), "is no whole number"),
        (("member", "add-learner", "a:1", "2=\x1b[2J:1"), "address"),
        (("member", "promote", "a:1", "-1"), "'-1' is no whole number"),
        (("member", "remove", "a:1"), "required: ID"),
        (("member", "remove", "a:1", "one"), "'one' is no whole number"),
        (("member", "change", "a:1", "1", "1"), "named twice"),
        (("member", "update", "a:1", "2=b:1", "2=c:1"), "listed twice"),
        (("init", "a:1"), "required: ID=HOST:PORT"),
        (("init", "a:1", "1=a:1", "2=a:1"), "share the address"),
        (("init", "a:1,b:1", "1=a:1"), "address 'a:1,b:1'"),
        (("transfer", "a:1", "0"), "node ids begin at 1"),
        (("snapshot",), "required: ADDR"),
        (("snapshot", "a:1", "--timeout", "nan"), "no number of seconds"),
    ],
)
def test_wrong_usage(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], complaint: str
) -> None:
    """Nothing is asked of anybody."""
    assert main(arguments) == EXIT_USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert complaint in captured.err
    assert "\x1b" not in captured.err


def test_nobody_there(capsys: pytest.CaptureFixture[str], free_port: int) -> None:
    address = f"127.0.0.1:{free_port}"
    for command in (
        ("member", "list", address),
        ("member", "add", address, "2=a:1"),
        ("member", "change", address, "1"),
        ("transfer", address, "1"),
        ("snapshot", address),
        ("init", address, f"1={address}"),
        ("describe", "metrics", address),
    ):
        assert main([*command, "--timeout", "0.5"]) == EXIT_NO_ANSWER
        captured = capsys.readouterr()
        assert (captured.out, captured.err.count("\n")) == ("", 1)
        assert address in captured.err
        assert "may have happened" not in captured.err
