"""When each peer was last heard of."""

from __future__ import annotations


class Contacts:
    """Notes the time of the latest message of each peer, in the event loop's seconds."""

    def __init__(self) -> None:
        self._heard: dict[int, float] = {}
        self._in_office_since = 0.0

    def note(self, node_id: int, now: float) -> None:
        """A message of `node_id` came in."""
        self._heard[node_id] = now

    def take_office(self, now: float) -> None:
        """This node leads from now on: what was heard before does not support it."""
        self._in_office_since = now

    def silent_for(self, node_id: int, now: float) -> float | None:
        """Return the seconds since `node_id` was heard of; None if it never was."""
        heard = self._heard.get(node_id)
        return None if heard is None else now - heard

    def missed_for(self, node_id: int, now: float) -> float:
        """Return for how many seconds `node_id` was not heard of while this node led."""
        return now - max(self._heard.get(node_id, self._in_office_since), self._in_office_since)

    def silent_in_office(self, node_id: int, now: float) -> float | None:
        """The same, but None as well if it was not heard of since this node came to lead."""
        heard = self._heard.get(node_id)
        return None if heard is None or heard < self._in_office_since else now - heard
