"""The cases every state machine must pass: same entries, same state, and nothing else counts."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Sequence
from io import BytesIO
from typing import cast

import pytest

from raftify.state_machine import AbstractStateMachine, StreamingStateMachine
from raftify.testing.suites.elsewhere import environment, whereabouts

#: Hash seeds of the other processes; sets of texts are in another order under each.
_HASH_SEEDS = ("1", "2")
_REPLAY_TIMEOUT = 60.0


class StateMachineSuite:
    """Derive, and write `make` and `entries`. The class must be at the top of its module."""

    def make(self) -> AbstractStateMachine:
        """Return a state machine as it is before its first entry."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make a state machine")

    def entries(self) -> Sequence[bytes]:
        """Return entries that lead through every kind of change and answer.

        Among them those that `apply` refuses by its answer. The more, the better: snapshots are
        taken behind each.
        """
        raise NotImplementedError(f"{type(self).__name__} must give some entries to apply")

    def queries(self) -> Sequence[bytes]:
        """Return questions for `query`, if the state machine has one."""
        return ()

    def state_of(self, machine: AbstractStateMachine) -> bytes:
        """Return the state to compare, by default as `encode` does.

        Override where the same state may be encoded in several ways.
        """
        return machine.encode()

    def test_the_same_entries_give_the_same_answers_and_state(self) -> None:
        first, second = self.make(), self.make()
        assert apply_all(first, self.entries()) == apply_all(second, self.entries())
        assert self.state_of(first) == self.state_of(second)

    @pytest.mark.parametrize("hash_seed", _HASH_SEEDS)
    def test_another_process_gives_the_same_answers_and_state(self, hash_seed: str) -> None:
        """Nodes have nothing in common but the log: no hashes, no objects, no time."""
        machine = self.make()
        expected = [*apply_all(machine, self.entries()), self.state_of(machine)]
        assert self._replay(hash_seed) == expected, (
            "another process made something else of the same entries: look for sets, clocks, "
            "random numbers, ids of objects, and settings of the machine"
        )

    def test_answers_are_bytes(self) -> None:
        answers: list[object] = [*apply_all(self.make(), self.entries())]
        assert [type(answer).__name__ for answer in answers] == ["bytes"] * len(answers)

    def test_the_entries_say_something(self) -> None:
        """Without entries that change the state none of the other cases can fail."""
        machine = self.make()
        before = self.state_of(machine)
        assert len(self.entries()) >= 2
        apply_all(machine, self.entries())
        assert self.state_of(machine) != before

    def test_a_restored_snapshot_is_the_same_state(self) -> None:
        """Behind every entry, and before the first."""
        machine = self.make()
        for entry in (None, *self.entries()):
            if entry is not None:
                apply_all(machine, [entry])
            copy = self.make()
            _restore(copy, _snapshot(machine))
            assert self.state_of(copy) == self.state_of(machine)

    def test_what_is_applied_after_a_restore_has_the_same_effect(self) -> None:
        """A snapshot must hold all that later entries depend on, seen from outside or not."""
        entries = self.entries()
        expected = self.make()
        answers = apply_all(expected, entries)
        machine = self.make()
        for done in range(len(entries) + 1):
            copy = self.make()
            _restore(copy, _snapshot(machine))
            assert apply_all(copy, entries[done:]) == answers[done:]
            assert self.state_of(copy) == self.state_of(expected)
            apply_all(machine, entries[done : done + 1])

    def test_a_snapshot_changes_nothing(self) -> None:
        machine, other = self.make(), self.make()
        for entry in self.entries():
            assert apply_all(machine, [entry]) == apply_all(other, [entry])
            _snapshot(machine)
            assert self.state_of(machine) == self.state_of(other)

    def test_a_snapshot_is_not_touched_by_later_entries(self) -> None:
        machine = self.make()
        entries = self.entries()
        apply_all(machine, entries[:1])
        before, snapshot = self.state_of(machine), _snapshot(machine)
        apply_all(machine, entries[1:])
        copy = self.make()
        _restore(copy, snapshot)
        assert self.state_of(copy) == before

    def test_restoring_replaces_the_whole_state(self) -> None:
        """A follower that has a state already may be sent a snapshot."""
        entries = self.entries()
        early, late = self.make(), self.make()
        apply_all(early, entries[:1])
        apply_all(late, entries)
        _restore(late, _snapshot(early))
        assert self.state_of(late) == self.state_of(early)
        _restore(late, _snapshot(self.make()))
        assert self.state_of(late) == self.state_of(self.make())

    def test_decode_is_the_inverse_of_encode(self) -> None:
        machine = self.make()
        for entry in (None, *self.entries()):
            if entry is not None:
                apply_all(machine, [entry])
            copy = type(machine).decode(machine.encode())
            assert type(copy) is type(machine)
            assert self.state_of(copy) == self.state_of(machine)

    def test_a_query_changes_nothing(self) -> None:
        machine, other = self.make(), self.make()
        for entry in self.entries():
            for question in self.queries():
                first = _result(machine.query(question))
                assert isinstance(first, bytes)
                assert _result(machine.query(question)) == first
            assert apply_all(machine, [entry]) == apply_all(other, [entry])
            assert self.state_of(machine) == self.state_of(other)

    def test_a_streamed_snapshot_may_be_read_in_small_pieces(self) -> None:
        """A file gives what it has, not always what was asked for."""
        machine, copy = self.make(), self.make()
        if not isinstance(machine, StreamingStateMachine):
            return
        assert isinstance(copy, StreamingStateMachine)
        apply_all(machine, self.entries())
        file = BytesIO()
        machine.write_snapshot(file)
        copy.read_snapshot(_Sparing(file.getvalue()))
        assert self.state_of(copy) == self.state_of(machine)

    def _replay(self, hash_seed: str) -> list[bytes]:
        """Return answers and state of a process of that hash seed."""
        order = {
            "suite": whereabouts(type(self)),
            "entries": [b64encode(entry).decode() for entry in self.entries()],
        }
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-m", "raftify.testing.state_machine_suite.replay", json.dumps(order)],
            env=environment(PYTHONHASHSEED=hash_seed),
            capture_output=True,
            text=True,
            timeout=_REPLAY_TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [b64decode(data) for data in json.loads(done.stdout.splitlines()[-1])]


def apply_all(machine: AbstractStateMachine, entries: Sequence[bytes]) -> list[bytes]:
    """Apply `entries`, one after the other; return the answers."""
    return [cast("bytes", _result(machine.apply(entry))) for entry in entries]


def _snapshot(machine: AbstractStateMachine) -> bytes:
    return cast("bytes", _result(machine.snapshot()))


def _restore(machine: AbstractStateMachine, snapshot: bytes) -> None:
    _result(machine.restore(snapshot))


def _result(result: object) -> object:
    """Return what `result` brings, if it has to be awaited."""
    if not inspect.isawaitable(result):
        return result
    return asyncio.run(_awaited(result))


async def _awaited(result: Awaitable[object]) -> object:
    return await result


class _Sparing(BytesIO):
    """A file that never gives more than three bytes at once unless asked for all."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size if size is None or size < 0 else min(size, 3))
