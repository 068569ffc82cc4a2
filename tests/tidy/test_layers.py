"""The house stands as its plan says: imports point down, and each foreign library has one home."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "raftify"

#: From the bottom up. What stands in one row may not import its neighbours.
ROWS: list[set[str]] = [
    {"errors", "event_loop"},
    {"core"},
    {"wire"},
    {"peers", "state_machine"},
    {"records", "config"},
    {"storage", "transport"},
    {"node", "client"},
    {"joining", "leading", "leaving", "waiting"},
    {"facade"},
    {"raft"},
    {"cli", "testing"},
]
HOMES = {
    "grpc": {"transport", "client", "wire"},
    "google": {"wire"},
    "lmdb": {"storage"},
    "rocksdict": {"storage"},
    "pytest": {"testing"},
    "uvloop": {"event_loop"},
    "rich": {"cli"},
}


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "_pb2" not in p.name)


def place_of(path: Path) -> str:
    """Return the top-level name inside the package that `path` belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer"
            assert node.module
            if node.module == "raftify":
                yield from (f"raftify.{alias.name}" for alias in node.names)
            else:
                yield node.module


def row_of(place: str) -> int:
    found = [i for i, row in enumerate(ROWS) if place in row]
    assert found, f"{place} has no row in the layer order"
    return found[0]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    place = place_of(path)
    if place == "__init__":
        return  # the front door shows everything
    for name in imports_of(path):
        if name.split(".")[0] != "raftify" or name == "raftify":
            continue
        target = name.split(".")[1]
        if target == place or target == "__version__":
            continue
        assert row_of(target) < row_of(place), f"{place} must not import {target}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_foreign_libraries_stay_home(path: Path) -> None:
    place = place_of(path)
    for name in imports_of(path):
        top = name.split(".")[0]
        if top in HOMES:
            assert place in HOMES[top], f"{top} is imported outside of {HOMES[top]}"
        if place == "core":
            assert top == "raftify" or top in sys.stdlib_module_names


#: What would make the core depend on something outside its arguments.
NOT_IN_CORE = {"asyncio", "time", "threading", "socket", "logging", "os", "io", "random", "pathlib"}


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").rglob("*.py")), ids=lambda p: p.name)
def test_the_core_is_sans_io(path: Path) -> None:
    """The one exception is the type of the injected random source."""
    for name in imports_of(path):
        if name == "random":
            assert "random.Random" in path.read_text() or "import Random" in path.read_text()
            assert "random.random(" not in path.read_text()
            continue
        assert name.split(".")[0] not in NOT_IN_CORE
