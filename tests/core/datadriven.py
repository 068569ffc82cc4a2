"""A reader and runner of cockroachdb's `datadriven` format, in which the conformance files are.

`#` starts a comment line. A directive is a command with arguments, `key`, `key=value` or
`key=(v1, v2)`; input lines may follow, `----` ends them, and what is expected runs to the next
blank line. The files are not ours, so they are found through RAFTIFY_CONFORMANCE.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_ARGUMENT = re.compile(r"(?P<key>[^\s=]+)(?:=(?:\((?P<many>[^)]*)\)|(?P<one>\S+)))?")


@dataclass(frozen=True, slots=True)
class Directive:
    """One command of a file with what it must print. `line` counts from 1."""

    line: int
    command: str
    arguments: dict[str, list[str]]
    input: str
    expected: str


def parse(text: str) -> Iterator[Directive]:
    """Yield the directives of a file in order."""
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        command, _, rest = line.strip().partition(" ")
        inputs = []
        for _, input_line in lines:
            if input_line == "----":
                break
            inputs.append(input_line)
        else:
            raise ValueError(f"line {number}: `{command}` has no ---- after it")
        expected = ""
        for _, expected_line in lines:
            if not expected_line:
                break
            expected += expected_line + "\n"
        yield Directive(number, command, _arguments(rest), "\n".join(inputs), expected)


def _arguments(text: str) -> dict[str, list[str]]:
    arguments = {}
    for match in _ARGUMENT.finditer(text):
        if match["many"] is not None:
            values = [value for value in re.split(r"[\s,]+", match["many"]) if value]
        else:
            values = [match["one"]] if match["one"] is not None else []
        arguments[match["key"]] = values
    return arguments


def run(path: Path, handle: Callable[[Directive], str]) -> None:
    """Run a file; fail with every directive whose output differs, byte for byte."""
    directives = list(parse(path.read_text(encoding="utf-8")))
    assert directives, f"{path} holds no directive"
    differences = []
    for directive in directives:
        actual = handle(directive)
        if not actual.endswith("\n"):
            actual += "\n"
        if actual != directive.expected:
            differences.append(
                f"{path}:{directive.line}: expected\n{directive.expected}got\n{actual}"
            )
    assert not differences, "\n".join(differences)


def conformance_files(folder: str) -> list[object]:
    """Return the files of `folder` as test parameters, or one that is skipped and says why."""
    root = os.environ.get("CONFORMANCE_FILES")  # see tests/conftest.py
    if not root:
        reason = "RAFTIFY_CONFORMANCE does not name the folder of the conformance files"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="unset")]
    files = sorted(Path(root, folder).rglob("*.txt"))
    if not files:
        raise FileNotFoundError(f"RAFTIFY_CONFORMANCE names {root}, which has no {folder}/*.txt")
    return [pytest.param(path, id=path.stem) for path in files]
