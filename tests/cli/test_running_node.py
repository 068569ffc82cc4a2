"""`raftify-cli describe metrics`, and `describe node` with the state machine, of real nodes."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console

from raftify.cli.formatters import Formatters, Machine
from raftify.cli.main import EXIT_FINE
from raftify.cli.metrics_view import show_metrics
from raftify.errors import MalformedMessage
from raftify.node.metrics import Metrics, PeerMetrics
from raftify.node.report import describe_metrics
from tests.cli.running_program import Program
from tests.client.fake_cluster import FakeCluster
from tests.cluster.local_cluster import LocalCluster
from tests.cluster.machines import Tally

MACHINE = "tests.cluster.machines:Tally"


def shown(metrics: dict[str, object]) -> str:
    output = io.StringIO()
    show_metrics(Console(file=output, width=80, color_system=None), metrics)
    return output.getvalue()


async def test_every_metric_is_described(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.grow_to(2)
        described = describe_metrics(founder.raft.metrics())
        assert set(described) == {field.name for field in dataclasses.fields(Metrics)}
        peers = described["peers"]
        assert isinstance(peers, dict)
        assert {"node_id", *peers["2"]} == {field.name for field in dataclasses.fields(PeerMetrics)}
        text = shown(described)
        for name in set(described) - {"membership", "peers"}:
            assert name.replace("_", " ") in text
        assert "Peers, as the leader knows them" in text
        assert max(map(len, text.splitlines())) <= 80


def test_metrics_of_another_version_are_shown_as_they_are() -> None:
    text = shown({"node_id": 3, "novelty": "\x1b[31m", "peers": {"2": {"speed": 5}}, "term": None})
    assert "Metrics of node 3" in text
    assert "novelty" in text
    assert "speed" in text
    assert "\x1b" not in text


async def test_a_node_that_tells_no_metrics() -> None:
    async with FakeCluster().client() as client:
        with pytest.raises(MalformedMessage, match="another version"):
            await client.metrics()


@pytest.mark.slow
async def test_a_running_node(tmp_path: Path, program: Program) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.grow_to(2)
        await founder.raft.propose(b"fig")
        metrics = await program.done("describe", "metrics", founder.address)
        assert (metrics["role"], metrics["term"]) == ("leader", founder.raft.metrics().term)
        assert metrics["membership"]["voters"] == [1, 2]
        assert list(metrics["peers"]) == ["2"]
        code, out, err = await program.cli("describe", "metrics", founder.address)
        assert (code, err) == (EXIT_FINE, "")
        assert "Metrics of node 1" in out
        state = await program.done("describe", "node", founder.address, "--machine", "json:loads")
        assert (state["state_machine"], state["state_machine_fault"]) == (
            "[['fig'], {'fig': 1}]",
            None,
        )
        code, out, err = await program.cli("describe", "node", founder.address, "--state")
        assert (code, err) == (EXIT_FINE, "")
        assert '[["fig"], {"fig": 1}]' in out


class Wrong(Tally):
    def encode(self) -> bytes:
        raise OSError("no words")


@pytest.mark.slow
async def test_a_state_that_cannot_be_had_is_told_in_its_place(
    tmp_path: Path, program: Program
) -> None:
    async with LocalCluster(tmp_path, make_machine=Wrong) as cluster:
        founder = await cluster.found()
        state = await program.done("describe", "node", founder.address, "--machine", MACHINE)
        assert state["state_machine"] is None
        assert "encode of Wrong raised OSError: no words" in state["state_machine_fault"]
        code, out, err = await program.cli("describe", "node", founder.address, "--state")
        assert (code, err) == (EXIT_FINE, "")
        assert "cannot be shown" in out


def test_what_a_machine_may_be() -> None:
    data = b'[["a"], {"a": 2}]'

    class Named(Tally):
        def __repr__(self) -> str:
            return f"Named({dict(self.counts)})"

    def make() -> Named:
        return Named()

    machines: tuple[Machine, ...] = (Named, make)
    for machine in machines:
        told = Formatters(machine=machine).state(data)
        assert told is not None
        assert (told.words, told.fault) == ("Named({'a': 2})", "")
    told = Formatters(machine=len).state(data)
    assert told is not None
    assert told.words == str(len(data))
    told = Formatters(machine=Named).state(b"no json")
    assert told is not None
    assert told.fault.startswith("JSONDecodeError")
    told = Formatters(machine=lambda: 7).state(data)  # type: ignore[arg-type]  # that is the test
    assert told is not None
    assert "it made int" in told.fault
    assert Formatters().state(data) is None
