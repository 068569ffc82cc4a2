"""What the examples' READMEs say to type works, as it stands there and from top to bottom."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
import shutil
from pathlib import Path

import pytest

from examples.children import TOP
from raftify.cli.main import main as raftify_cli
from tests.examples.matchengine_orders import answers_http
from tests.examples.processes import program
from tests.ports import free_ports

#: What is seen of each request's answer, in their order.
ANSWERS = {
    "memstore": ["apple", "apple", '"leader_id": 1'],
    "kvstore": [
        '{"voters":[1],"learners":[]}', '{"voters":[1],"learners":[2]}',
        '{"voters":[1],"learners":[2,3]}', '{"voters":[1,2,3],"learners":[]}',
        '{"value":"bar"}', '"bar"', '{"session":1}', '{"value":"bar!"}', '{"value":"bar!"}',
    ],
    "matchengine": [
        '"status":"open"', '"filled":"1.5"',
        '"bids":[{"price":"401","quantity":"0.5","orders":1}]',
        '"trades":[{"number":1,"symbol":"BTC-USD","price":"400.25"',
        '{"number":1,"symbol":"BTC-USD","price":"400.25"', '"quantity":"0.5"',
    ],
}  # fmt: skip


def readme(example: str) -> str:
    """Return an example's README, with free ports in the place of those that it names."""
    text = (TOP / "examples" / example / "README.md").read_text(encoding="utf-8")
    written = sorted(set(re.findall(r"127\.0\.0\.1[:-](\d+)", text)))
    for port, free in zip(written, free_ports(len(written)), strict=True):
        text = re.sub(rf"(?<=127\.0\.0\.1[:-]){port}\b", str(free), text)
    return text


async def asked(request: str) -> str:
    """Return the answer to a request; of one that goes on for ever the first line."""
    curl = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--fail-with-body", "--max-time", "60", *shlex.split(request),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert curl.stdout is not None
    if request.startswith("-N "):
        line = await curl.stdout.readline()
        curl.terminate()  # as Ctrl-C does
        await curl.communicate()
        return line.decode()
    output, _ = await curl.communicate()
    assert curl.returncode == 0, (request, output)
    return output.decode()


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif(shutil.which("curl") is None, reason="the READMEs use curl")
@pytest.mark.parametrize("example", ANSWERS)
async def test_what_it_says_to_type_works(
    example: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = readme(example)
    nodes = re.findall(rf"^    \.venv/bin/python (-m examples\.{example} .*)$", text, re.MULTILINE)
    requests = re.findall(r"^    curl (.*)$", text, re.MULTILINE)
    assert (len(nodes), len(requests)) == (3, len(ANSWERS[example]))
    async with contextlib.AsyncExitStack() as stack:
        for node in nodes:
            running = program(*shlex.split(node), cwd=tmp_path, PYTHONPATH=str(TOP))
            await answers_http(await stack.enter_async_context(running))
        for request, answer in zip(requests, ANSWERS[example], strict=True):
            assert answer in await asked(request)
    monkeypatch.chdir(tmp_path)
    for tool in re.findall(r"^    \.venv/bin/raftify-cli (.*)$", text, re.MULTILINE):
        assert await asyncio.to_thread(raftify_cli, shlex.split(tool)) == 0
        assert capsys.readouterr().out
    for tool in re.findall(r"^    \.venv/bin/python (-m \S+\.cli .*)$", text, re.MULTILINE):
        async with program(*shlex.split(tool), cwd=tmp_path, PYTHONPATH=str(TOP)) as cli:
            output, _ = await cli.communicate()
        assert cli.returncode == 0, output.decode()
