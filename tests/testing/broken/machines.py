"""A sound state machine, and broken ones, each with the case that finds it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import BinaryIO, Self

from raftify.state_machine import AbstractStateMachine, StreamingStateMachine, Writable
from raftify.testing import StateMachineSuite

_SOUND = "test_the_same_entries_give_the_same_answers_and_state"


class Words(AbstractStateMachine):
    """Keeps words in the order in which they came first, and counts all that came."""

    caught_by = ""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.count = 0

    def apply(self, data: bytes) -> bytes:
        word = data.decode()
        self.count += 1
        if word not in self.words:
            self.words.append(word)
        return f"{word} {self.count}".encode()

    def snapshot(self) -> bytes:
        return self.encode()

    def restore(self, data: bytes) -> None:
        self.words, self.count = json.loads(data)

    def query(self, data: bytes) -> bytes:
        return str(data.decode() in self.words).encode()

    def encode(self) -> bytes:
        return json.dumps([self.words, self.count]).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        machine = cls()
        machine.words, machine.count = json.loads(data)
        return machine


class AwaitedWords(Words):
    """The same with coroutines."""

    async def apply(self, data: bytes) -> bytes:  # type: ignore[override]
        return super().apply(data)

    async def restore(self, data: bytes) -> None:  # type: ignore[override]
        super().restore(data)


class StreamedWords(Words, StreamingStateMachine):
    """The same with snapshots in files."""

    def write_snapshot(self, file: Writable) -> None:
        file.write(self.encode())

    def read_snapshot(self, file: BinaryIO) -> None:
        data = b""
        while piece := file.read(1000):
            data += piece
        self.words, self.count = json.loads(data)


class CountsForAll(Words):
    """Its counter belongs to the class: two machines in one process disturb each other."""

    caught_by = _SOUND
    total = 0

    def apply(self, data: bytes) -> bytes:
        CountsForAll.total += 1
        return super().apply(data) + str(self.total).encode()


class KeepsWordsInASet(Words):
    """The order of the words is that of their hashes."""

    caught_by = "test_another_process_gives_the_same_answers_and_state"

    def apply(self, data: bytes) -> bytes:
        answer = super().apply(data)
        return answer + ",".join(set(self.words)).encode()


class AnswersInText(Words):
    """An answer that is no bytes stops the node."""

    caught_by = "test_answers_are_bytes"

    def apply(self, data: bytes) -> bytes:
        return super().apply(data).decode()  # type: ignore[return-value]


class NeverChanges(Words):
    """Whatever comes, nothing happens: nothing was tested."""

    caught_by = "test_the_entries_say_something"

    def apply(self, data: bytes) -> bytes:
        return data


class ForgetsItsCount(Words):
    """A snapshot holds the words only."""

    caught_by = "test_a_restored_snapshot_is_the_same_state"

    def snapshot(self) -> bytes:
        return json.dumps([self.words, 0]).encode()


class HidesAState(Words):
    """What later answers depend on is neither shown nor in the snapshot."""

    caught_by = "test_what_is_applied_after_a_restore_has_the_same_effect"

    def __init__(self) -> None:
        super().__init__()
        self.last = b""

    def apply(self, data: bytes) -> bytes:
        before, self.last = self.last, data
        return super().apply(data) + before


class ClearsAtASnapshot(Words):
    """Taking a snapshot begins the count anew, on the nodes that take one."""

    caught_by = "test_a_snapshot_changes_nothing"

    def snapshot(self) -> bytes:
        data = self.encode()
        self.count = 0
        return data


class SharesItsSnapshot(Words):
    """What it hands out as a snapshot goes on changing."""

    caught_by = "test_a_snapshot_is_not_touched_by_later_entries"

    def __init__(self) -> None:
        super().__init__()
        self.buffer = bytearray(self.encode())

    def apply(self, data: bytes) -> bytes:
        answer = super().apply(data)
        self.buffer[:] = self.encode()
        return answer

    def snapshot(self) -> bytes:
        return self.buffer  # type: ignore[return-value]


class AddsWhatItRestores(Words):
    """Restoring adds to what is there already."""

    caught_by = "test_restoring_replaces_the_whole_state"

    def restore(self, data: bytes) -> None:
        words, self.count = json.loads(data)
        self.words += [word for word in words if word not in self.words]


class DecodesHalf(Words):
    """Tools that show a copy show less."""

    caught_by = "test_decode_is_the_inverse_of_encode"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        machine = super().decode(data)
        machine.count = 0
        return machine


class CountsQuestions(Words):
    """A query changes the state of the node that was asked."""

    caught_by = "test_a_query_changes_nothing"

    def query(self, data: bytes) -> bytes:
        self.count += 1
        return super().query(data)


class ReadsOnce(StreamedWords):
    """It takes what one `read` gives for the whole file."""

    caught_by = "test_a_streamed_snapshot_may_be_read_in_small_pieces"

    def read_snapshot(self, file: BinaryIO) -> None:
        self.words, self.count = json.loads(file.read(1 << 20))


SOUND: list[type[Words]] = [Words, AwaitedWords, StreamedWords]
BROKEN: list[type[Words]] = [
    CountsForAll, KeepsWordsInASet, AnswersInText, NeverChanges, ForgetsItsCount, HidesAState,
    ClearsAtASnapshot, SharesItsSnapshot, AddsWhatItRestores, DecodesHalf, CountsQuestions,
    ReadsOnce,
]  # fmt: skip


class WordsSuite(StateMachineSuite):
    """What all of them are tested with."""

    machine: type[Words] = Words

    def make(self) -> Words:
        return self.machine()

    def entries(self) -> Sequence[bytes]:
        words = "one two three four five six seven eight nine ten one two"
        return [word.encode() for word in words.split()]

    def queries(self) -> Sequence[bytes]:
        return [b"one", b"eleven"]


for _machine in [*SOUND, *BROKEN]:
    _name = f"Test{_machine.__name__}"
    globals()[_name] = type(_name, (WordsSuite,), {"machine": _machine, "__module__": __name__})
