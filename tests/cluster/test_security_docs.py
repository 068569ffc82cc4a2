"""What docs/security.md says to type works as it stands there."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import shutil
from pathlib import Path
from typing import cast

import pytest

from raftify import Raft, TlsConfig
from tests.cluster.machines import Tally
from tests.ports import free_address
from tests.transport.certificates import HOST, Authority

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
NODE_NAME = "node-{node_id}.orders.raft"


def snippet(language: str) -> str:
    """Return the page's only block in that language."""
    text = PAGE.read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl program here")
async def test_the_commands_make_certificates_for_a_node(tmp_path: Path) -> None:
    commands = snippet("sh")
    assert len(commands.splitlines()) == 5
    process = await asyncio.create_subprocess_exec(
        *("sh", "-e", "-c", commands),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    assert out.decode().endswith("node-1.pem: OK\n")
    tls = TlsConfig(
        ca_cert=tmp_path / "ca.pem",
        cert=tmp_path / "node-1.pem",
        key=tmp_path / "node-1.key",
        node_name=NODE_NAME,
    )
    assert tls.faults() == []
    assert tls.faults_for(1) == []
    assert tls.faults_for(2) != []


async def test_the_node_and_the_client_talk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    authority = Authority(tmp_path)
    authority.issue("node-1", "node-1.orders.raft", HOST)
    authority.issue("client", "client")
    namespace: dict[str, object] = {"Store": Tally, "address": free_address()}
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(snippet("python"), PAGE.name, "exec", flags=flags, dont_inherit=True)
    running = eval(code, namespace)
    assert inspect.isawaitable(running)
    await running
    raft = cast("Raft[Tally]", namespace["raft"])
    assert raft.state_machine().counts["over TLS"] == 1
