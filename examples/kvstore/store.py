"""The state machine: keys and values, and for each session the last write with its answer.

It lives in memory. The framework brings it back after a restart from the latest snapshot and the
log behind it, both on disk, and applies each entry once to what is empty at first. A second copy
in a database of its own would be written twice and read never.
"""

from __future__ import annotations

import json
from typing import Any, Final, Self

from examples.kvstore.commands import Command
from raftify import AbstractStateMachine

#: Sessions kept, each with the answer to its last write. The one that was idle longest goes first.
MOST_SESSIONS: Final = 1000
#: Characters in one value, which Append could else make larger than a snapshot may be.
MOST_VALUE: Final = 1 << 20


class KvStore(AbstractStateMachine):
    """A dictionary that every node holds.

    `apply` is a coroutine that never waits: that spares each entry a trip to another thread. Its
    answer is JSON, `{"value": ...}`, `{"session": ...}` or `{"error": ..., "message": ...}`.
    """

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        #: By session: the number of its last write, and the answer to it. Last used last.
        self._sessions: dict[int, tuple[int, bytes]] = {}
        self._opened = 0

    def get(self, key: str) -> str | None:
        return self._values.get(key)

    def __repr__(self) -> str:
        return f"KvStore({len(self._values)} keys, {len(self._sessions)} sessions)"

    async def apply(self, data: bytes) -> bytes:
        try:
            command = Command.decode(data)
        except ValueError as error:
            # Anyone may propose any bytes. An exception here would stop every node of the cluster.
            return _error("BadCommand", str(error))
        if command.kind == "Open":
            return self._open()
        if not command.session:
            return self._change(command)
        return self._change_once(command)

    def _open(self) -> bytes:
        self._opened += 1
        self._sessions[self._opened] = (0, b"")
        if len(self._sessions) > MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return _json({"session": self._opened})

    def _change_once(self, command: Command) -> bytes:
        """Carry the change out, unless it is the session's last one again."""
        known = self._sessions.pop(command.session, None)
        if known is None:
            return _error(
                "SessionExpired",
                f"session {command.session} is not known (any more): open another. Whether the "
                "write was carried out before cannot be told",
            )
        seq, answer = known
        if command.seq > seq:
            seq, answer = command.seq, self._change(command)
        self._sessions[command.session] = (seq, answer)
        if command.seq < seq:
            return _error(
                "StaleWrite",
                f"write {command.seq} of session {command.session} comes after write {seq}: a "
                "session writes one at a time",
            )
        return answer

    def _change(self, command: Command) -> bytes:
        key, value = command.key, command.value
        if command.kind == "Delete":
            return _json({"value": self._values.pop(key, None)})
        if command.kind == "Append":
            value = self._values.get(key, "") + value
        if len(value) > MOST_VALUE:
            return _error("ValueTooLarge", f"a value has at most {MOST_VALUE} characters")
        self._values[key] = value
        return _json({"value": value})

    # Plain functions: they run on a thread, and what changes the store waits for them.

    def snapshot(self) -> bytes:
        return self.encode()

    def restore(self, data: bytes) -> None:
        other = self.decode(data)
        self._values, self._sessions = other._values, other._sessions
        self._opened = other._opened

    def encode(self) -> bytes:
        sessions = [[i, seq, answer.decode()] for i, (seq, answer) in self._sessions.items()]
        return _json({"values": self._values, "sessions": sessions, "opened": self._opened})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        written, store = json.loads(data), cls()
        store._values = dict(written["values"])
        store._sessions = {i: (seq, answer.encode()) for i, seq, answer in written["sessions"]}
        store._opened = written["opened"]
        return store


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _error(kind: str, message: str) -> bytes:
    return _json({"error": kind, "message": message})
