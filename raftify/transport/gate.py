"""How many calls are served at the same time, and which of them has to go if there are too many."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from raftify.errors import Overloaded

MESSAGES: Final = "Messages"
INSTALL_SNAPSHOT: Final = "InstallSnapshot"

#: Streams of one member. It needs one; another may be there until a broken connection is noticed.
_OF_A_MEMBER: Final = {MESSAGES: 4, INSTALL_SNAPSHOT: 1}
#: Streams of callers that this node's membership does not have, all together: a node that was away
#: learns of new members by their calls.
_OF_STRANGERS: Final = {MESSAGES: 32, INSTALL_SNAPSHOT: 2}
_STRANGERS: Final = 0


class Gate:
    """Counts the calls under way. Those of members cannot be crowded out by others.

    Args:
        most_client_calls: see `Config.max_client_calls`.
    """

    def __init__(self, most_client_calls: int) -> None:
        self._most_client_calls = most_client_calls
        self._client_calls = 0
        self._streams: dict[tuple[str, int], list[asyncio.Task[object]]] = {}
        self._displaced: set[asyncio.Task[object]] = set()

    @contextmanager
    def client_call(self) -> Iterator[None]:
        """Count one call of a client while it lasts.

        Raises:
            Overloaded: there are too many.
        """
        if self._client_calls >= self._most_client_calls:
            raise Overloaded(
                f"this node serves {self._most_client_calls} calls of clients already, which is "
                "its Config.max_client_calls: repeat later, or make fewer at the same time"
            )
        self._client_calls += 1
        try:
            yield
        finally:
            self._client_calls -= 1

    @contextmanager
    def peer_stream(self, kind: str, from_id: int, *, is_member: bool) -> Iterator[None]:
        """Count one stream of a peer, which the present task serves, while it lasts.

        A member that has too many gets the newest, and its oldest is cancelled: it knows best which
        of them are dead.

        Raises:
            Overloaded: it is no member, and there are too many such streams; or it is one, and this
                was its oldest.
        """
        task = asyncio.current_task()
        assert task is not None
        key = (kind, from_id if is_member else _STRANGERS)
        tasks = self._streams.setdefault(key, [])
        if is_member:
            staying = [other for other in tasks if other not in self._displaced]
            for oldest in staying[: max(len(staying) + 1 - _OF_A_MEMBER[kind], 0)]:
                self._displaced.add(oldest)
                oldest.cancel()
        elif len(tasks) >= _OF_STRANGERS[kind]:
            raise Overloaded(
                f"this node has {len(tasks)} streams of {kind} from callers that are no members "
                "already: repeat later"
            )
        tasks.append(task)
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._displaced:
                raise
            task.uncancel()
            raise Overloaded(
                f"node {from_id} has opened more streams of {kind}, and the oldest ends for it"
            ) from None
        finally:
            self._displaced.discard(task)
            tasks.remove(task)
            if not tasks:
                self._streams.pop(key, None)
