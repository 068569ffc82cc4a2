"""How the process of a node says why it ended."""

from __future__ import annotations

from raftify.errors import NodeRemoved, OutcomeUnknown, PeerUnreachable, Rejected, StorageError

#: Its disk or its map failed it, or the cluster threw it out: it did what it must.
DISK_FAILED = 1
#: Anything else, a broken invariant or a bug among them; no fault of a drill may lead to this. Not
#: Python's own code for what nobody caught, which is 1, nor that of a child without its parent.
BROKEN = 4
#: It asked to be a member, and whom it asked was gone or did not get it done in time.
NOT_JOINED = 5


class NotJoined(Exception):
    """A node could not become a member; its cause says why."""


def exit_code(error: Exception) -> int:
    """Return what a node ends with that ended with `error`."""
    if isinstance(error, NotJoined):
        told = isinstance(error.__cause__, Rejected | OutcomeUnknown | PeerUnreachable)
        return NOT_JOINED if told else BROKEN
    return DISK_FAILED if isinstance(error, StorageError | NodeRemoved) else BROKEN
