"""What is replicated: a change of one key, or the opening of a session. Written as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Self

from raftify import AbstractLogEntry

#: The changes there are, and the fields that each has, all of them text.
FIELDS: Final = {"Set": ("key", "value"), "Append": ("key", "value"), "Delete": ("key",)}


@dataclass(frozen=True, slots=True)
class Command(AbstractLogEntry):
    """One entry of the log.

    `kind` is a name in FIELDS, or "Open", which asks for a session. A change with a `session` has
    a number in it, `seq`, and is carried out once however often it is proposed.
    """

    kind: str
    key: str = ""
    value: str = ""
    session: int = 0
    seq: int = 0

    def encode(self) -> bytes:
        written: dict[str, object] = {
            self.kind: {name: getattr(self, name) for name in FIELDS.get(self.kind, ())}
        }
        if self.session:
            written |= {"session": self.session, "seq": self.seq}
        return json.dumps(written, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raise ValueError if `data` is no command."""
        try:
            written = json.loads(data)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if written == {"Open": {}}:
            return cls("Open")
        return cls.read(written)

    @classmethod
    def read(cls, written: Any) -> Self:
        """Return the change that a JSON value stands for.

            {"Set": {"key": "foo", "value": "bar"}, "session": 7, "seq": 1}

        Raises:
            ValueError: it stands for none; the message says what is wrong.
        """
        if not isinstance(written, dict):
            example = '{"Set": {"key": "foo", "value": "bar"}}'
            raise ValueError(f"a write is an object, as {example}")  # noqa: TRY004 - see Raises
        rest = dict(written)
        session, seq = rest.pop("session", 0), rest.pop("seq", 0)
        _check_numbers(session, seq, has_session="session" in written or "seq" in written)
        if len(rest) != 1 or not rest.keys() <= FIELDS.keys():
            raise ValueError(
                f"a write has one of {', '.join(FIELDS)}, and session and seq or neither; "
                f"this one has {', '.join(map(repr, written)) or 'nothing'}"
            )
        ((kind, fields),) = rest.items()
        wanted = FIELDS[kind]
        if not isinstance(fields, dict) or sorted(fields) != sorted(wanted):
            raise ValueError(f"{kind} has the fields {' and '.join(wanted)}, and no other")
        for name in wanted:
            check_text(fields[name], name)
        return cls(kind, session=session, seq=seq, **fields)


def check_text(value: object, name: str) -> str:
    """Return `value`; raise ValueError unless it is text that can be written as UTF-8."""
    if not isinstance(value, str):
        raise ValueError(f"{name} is text, not {type(value).__name__}")  # noqa: TRY004 - as below
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} has half of a surrogate pair, which is no text") from None
    return value


def _check_numbers(session: object, seq: object, *, has_session: bool) -> None:
    if not has_session:
        return
    for name, number in (("session", session), ("seq", seq)):
        is_number = isinstance(number, int) and not isinstance(number, bool)
        if not is_number or not 1 <= number < 1 << 63:  # type: ignore[operator]
            raise ValueError(f"{name} is a number from 1 upwards; session and seq go together")
