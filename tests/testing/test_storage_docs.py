"""What docs/storage.md and the rescue in docs/operations.md show works, and tables are complete."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from raftify import Config, Entry, LmdbStorage, Raft
from raftify.errors import ConfigError
from tests.cluster.machines import Tally
from tests.ports import free_address
from tests.testing.broken import lives, machines, suites
from tests.testing.broken.kept import KeptStorage
from tests.testing.nested import run_suites

DOCS = Path(__file__).resolve().parents[2] / "docs"

pytestmark = pytest.mark.timeout(200)


def snippets(page: str) -> list[tuple[str, str]]:
    """Return title, if any, and text of every snippet."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(r"^```python(?: title=(\S+))?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found
    return found


def test_what_is_no_test_runs_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rocksdict")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"Path": Path, "Entry": Entry}
    plain = [code for title, code in snippets("storage.md") if not title]
    assert len(plain) == 3
    for code in plain:
        exec(compile(code, "storage.md", "exec", dont_inherit=True), namespace)


def test_the_suites_of_the_page_pass(tmp_path: Path) -> None:
    titled = {title: code for title, code in snippets("storage.md") if title}
    assert len(titled) == 2
    for title, code in titled.items():
        (tmp_path / title).write_text(code)
        results = run_suites(tmp_path, tmp_path / title)
        assert results.failed == {}
        assert sum(results.passed.values()) > 10


async def test_a_cluster_is_rescued_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    machine = Tally()
    (tmp_path / "rescued.snapshot").write_bytes(b'[["old"], {"old": 1}]')
    [code] = [code for _, code in snippets("operations.md") if "bootstrap_from_snapshot" in code]
    namespace: dict[str, object] = {
        "Config": Config, "Raft": Raft, "LmdbStorage": LmdbStorage, "machine": machine,
    }  # fmt: skip
    code = code.replace("127.0.0.1:60061", free_address())
    exec(compile(code, "operations.md", "exec", dont_inherit=True), namespace)
    raft = namespace["raft"]
    assert isinstance(raft, Raft)
    async with raft:
        await raft.wait_for_leader()
        assert await raft.propose(b"old") == b"old:2"
    with pytest.raises(ConfigError, match="take the setting away"):
        exec(compile(code, "operations.md", "exec", dont_inherit=True), namespace)


def test_the_tables_name_every_broken_one_and_its_case() -> None:
    text = (DOCS / "storage.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `(\w+)` \| (.+) \| `(\w+)` \|$", text, re.MULTILINE)
    stores = [*suites.BROKEN, lives.KeepsWhenClosedOnly, lives.WritesByHalves]
    assert len(stores) >= 25
    broken: list[type[KeptStorage | machines.Words]] = [*stores, *machines.BROKEN]
    expected = [
        (one.__name__, " ".join((one.__doc__ or "").split()), one.caught_by) for one in broken
    ]
    assert found == expected
    assert f"build {len(stores)} stores" in text
    assert f"same for {len(machines.BROKEN)} state machines" in text


def test_snippets_are_python() -> None:
    for _, code in snippets("storage.md"):
        ast.parse(code)
