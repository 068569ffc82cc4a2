"""The reader of golden files itself: a runner that sees no difference proves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.datadriven import Directive, conformance_files, parse, run


def test_directives_are_read_with_arguments_input_and_expectation() -> None:
    text = (
        "# why\n\ncmd cfg=(1, 2) idx=(_,5) flag one=x\nin 1\nin 2\n----\nout 1\nout 2\n"
        "\nnext\n----\n"
    )
    assert list(parse(text)) == [
        Directive(
            3,
            "cmd",
            {"cfg": ["1", "2"], "idx": ["_", "5"], "flag": [], "one": ["x"]},
            "in 1\nin 2",
            "out 1\nout 2\n",
        ),
        Directive(10, "next", {}, "", ""),
    ]


def test_directive_without_separator_is_refused() -> None:
    with pytest.raises(ValueError, match="line 1: `cmd` has no ----"):
        list(parse("cmd\ninput\n"))


def test_a_single_differing_byte_fails_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "golden.txt"
    path.write_text("a\n----\nsame\n\nb\n----\nother \n")
    with pytest.raises(AssertionError, match=r"golden\.txt:5: expected\nother \ngot\nother\n"):
        run(path, lambda directive: {"a": "same", "b": "other"}[directive.command])


def test_a_file_without_directives_fails(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text("# nothing\n")
    with pytest.raises(AssertionError, match="holds no directive"):
        run(path, lambda directive: "")


def test_a_folder_without_files_is_an_error_not_a_skip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFORMANCE_FILES", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="quorum"):
        conformance_files("quorum")
