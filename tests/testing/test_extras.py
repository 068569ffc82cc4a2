"""What an extra brings is not needed without it, and what is missing is said."""

from __future__ import annotations

import subprocess
import sys

import pytest

import raftify.testing


def run_without(package: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` where `package` cannot be imported."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules[{package!r}] = None\n{code}"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize("package", ["pytest", "rocksdict", "uvloop"])
def test_raftify_needs_none_of_them(package: str) -> None:
    done = run_without(package, "import raftify, raftify.testing, raftify.cli.main")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("package", "name", "remedy"),
    [
        ("pytest", "raftify.testing import StorageSuite", "pip install pytest"),
        ("pytest", "raftify.testing import StateMachineSuite", "pip install pytest"),
        (
            "rocksdict",
            "raftify.storage.rocksdb import RocksDbStorage",
            "pip install 'raftify[rocksdb]'",
        ),
    ],
)
def test_what_is_missing_is_said(package: str, name: str, remedy: str) -> None:
    done = run_without(package, f"from {name}")
    assert done.returncode == 1
    assert remedy in done.stderr.splitlines()[-1]


def test_the_testing_package_has_nothing_else() -> None:
    with pytest.raises(AttributeError, match="NoSuchSuite"):
        _ = raftify.testing.NoSuchSuite
