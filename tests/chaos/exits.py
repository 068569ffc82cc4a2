"""How the process of a node says why it ended."""

from __future__ import annotations

from raftify.errors import NodeRemoved, StorageError

#: Its disk or its map failed it, or the cluster threw it out: it did what it must.
DISK_FAILED = 1
#: Anything else, a broken invariant or a bug among them; no fault of a drill may lead to this. Not
#: Python's own code for what nobody caught, which is 1, nor that of a child without its parent.
BROKEN = 4


def exit_code(error: Exception) -> int:
    """Return what a node ends with that ended with `error`."""
    return DISK_FAILED if isinstance(error, StorageError | NodeRemoved) else BROKEN
