"""Faults to be put into a copy of the package: what is replaced by what, and where it is from.

Each `*.toml` of a folder has a list `fault` with `name`, `origin` (a section of the paper or the
thesis, or the thread of a system that had the fault), `file`, `old` and `new`, and perhaps a list
`also` of more edits. It may have `tests`, which are tried first.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class CannotTry(Exception):
    """A fault does not fit the source, or what is to judge it cannot."""


@dataclass(frozen=True)
class Edit:
    """`old`, which `path` has exactly once, becomes `new`. Paths begin at the repository's top."""

    path: Path
    old: str
    new: str

    def put_into(self, source: str) -> str:
        """Return `source` with the edit in it.

        Raises:
            CannotTry: `old` is not there exactly once, or the result is no Python.
        """
        count = source.count(self.old)
        if count != 1:
            raise CannotTry(
                f"{self.path} has the text to replace {count} times, not once; adjust the fault to "
                "the source"
            )
        broken = source.replace(self.old, self.new)
        try:
            compile(broken, str(self.path), "exec")
        except SyntaxError as error:
            raise CannotTry(f"{self.path}: the result is no Python: {error}") from error
        return broken


@dataclass(frozen=True)
class Fault:
    """One way to break the package.

    Args:
        edits: made together, one after the other.
        tests: those that are tried first.
    """

    name: str
    origin: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...] = ()

    @property
    def paths(self) -> list[Path]:
        return list(dict.fromkeys(edit.path for edit in self.edits))

    def broken(self, folder: Path) -> dict[Path, str]:
        """Return what the fault makes of the sources in `folder`, by their paths there.

        Raises:
            CannotTry: it does not fit.
        """
        texts = {path: (folder / path).read_text() for path in self.paths}
        try:
            for edit in self.edits:
                texts[edit.path] = edit.put_into(texts[edit.path])
        except CannotTry as error:
            raise CannotTry(f"{self.name}: {error}") from error
        return texts

    @contextmanager
    def within(self, folder: Path) -> Iterator[None]:
        """Have the fault in the copy of the repository in `folder` while the block runs.

        Raises:
            CannotTry: it does not fit.
        """
        sound = {path: (folder / path).read_text() for path in self.paths}
        try:
            for path, text in self.broken(folder).items():
                _write(folder / path, text)
            yield
        finally:
            for path, text in sound.items():
                _write(folder / path, text)


def load(folder: Path, package: Path) -> list[Fault]:
    """Return the faults of all tables in `folder`, in the order in which they stand there.

    Args:
        package: what their files are named from, itself from the top of the repository.
    """
    faults = []
    for path in sorted(folder.glob("*.toml")):
        table = tomllib.loads(path.read_text())
        tests = tuple(table.get("tests", ()))
        for one in table["fault"]:
            edits = [
                Edit(package / each["file"], each["old"], each["new"])
                for each in (one, *one.get("also", ()))
            ]
            faults.append(Fault(one["name"], one["origin"], tuple(edits), tests))
    return faults


def chosen(faults: Sequence[Fault], words: Sequence[str]) -> list[Fault]:
    """Return the faults that have one of `words` in name or file; without words, all.

    Raises:
        CannotTry: no fault has one of them.
    """
    for word in words:
        if not any(word in f"{fault.name} {fault.paths}" for fault in faults):
            raise CannotTry(
                f"no fault has {word!r} in its name or file; without words all are tried"
            )
    return [
        fault
        for fault in faults
        if not words or any(word in f"{fault.name} {fault.paths}" for word in words)
    ]


def _write(path: Path, text: str) -> None:
    """Write a module, and forget its compiled form, which may look current within one second."""
    path.write_text(text)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
