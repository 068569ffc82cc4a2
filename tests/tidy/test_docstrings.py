"""Every public name says what it is, and every call that waits says what it raises."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import FunctionType

import pytest

import raftify

#: These raise nothing of their own: only what their class says of every call, if that.
_RAISE_NOTHING = {
    "Raft.quit",
    "RaftServiceClient.close",
    "RaftServiceClient.create_snapshot",
    "RaftServiceClient.read_index",
    "RaftServiceClient.send_message",
}


def public_functions() -> Iterator[tuple[str, FunctionType, str]]:
    """Yield every public function, method and property: its name, itself, its docstring."""
    for name in raftify.__all__:
        found = getattr(raftify, name)
        if inspect.isfunction(found):
            yield name, found, inspect.getdoc(found) or ""
        elif inspect.isclass(found):
            for method, function, doc in methods_of(found):
                yield f"{name}.{method}", function, doc


def methods_of(kind: type) -> Iterator[tuple[str, FunctionType, str]]:
    """Yield the public methods of `kind` that are ours; an override shares what it overrides."""
    for name in dir(kind):
        if name.startswith("_"):
            continue
        owner = next(c for c in kind.__mro__ if name in vars(c) or c is object)
        held = vars(owner).get(name)
        function = held.fget if isinstance(held, property) else getattr(held, "__func__", held)
        if inspect.isfunction(function) and function.__module__.startswith("raftify"):
            described = held if isinstance(held, property) else getattr(kind, name)
            yield name, function, inspect.getdoc(described) or ""


FUNCTIONS = list(public_functions())


@pytest.mark.parametrize("name", raftify.__all__)
def test_every_public_name_has_a_docstring(name: str) -> None:
    """Of its own: what a base class, or `dataclass` by itself, says does not tell what it is."""
    found = getattr(raftify, name)
    text = vars(found).get("__doc__") if inspect.isclass(found) else inspect.getdoc(found)
    assert text, f"{name} has no docstring"
    assert not text.startswith(f"{name}("), f"{name} has no docstring"


@pytest.mark.parametrize(("name", "doc"), [(name, doc) for name, _, doc in FUNCTIONS])
def test_every_public_method_has_a_docstring(name: str, doc: str) -> None:
    assert doc, f"{name} has no docstring"


@pytest.mark.parametrize(
    ("name", "doc"),
    [(name, doc) for name, function, doc in FUNCTIONS if inspect.iscoroutinefunction(function)],
)
def test_every_call_that_waits_says_what_it_raises(name: str, doc: str) -> None:
    if name in _RAISE_NOTHING:
        assert "Raises:" not in doc, f"{name} raises something after all; take it off the list"
    else:
        assert "Raises:" in doc, f"{name} does not say what it raises"


def test_nothing_is_overlooked() -> None:
    """The list above is found by looking: it must find what is known to be there."""
    names = {name for name, _, _ in FUNCTIONS}
    inherited, property_, static, made = (
        "Raft.propose",
        "Address.host",
        "Raft.request_id",
        "create_client",
    )
    assert {inherited, property_, static, made, "StableStorage.entries"} <= names
    assert {name for name, _, _ in FUNCTIONS} >= _RAISE_NOTHING
