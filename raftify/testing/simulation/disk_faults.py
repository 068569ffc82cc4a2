"""What a bad disk does to the records and files on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import cast

from raftify.storage import lmdb_schema as schema
from raftify.testing.simulation.disk_folder import StoredFile, StoredFolder
from raftify.testing.simulation.disk_tables import Change, Table, Tables, undo


def tear(tables: Tables, random: Random) -> str | None:
    """Take back a part of the last transaction; return what, or None if there is nothing.

    A record that was put may also begin as the new one and go on as the old one.
    """
    if not tables.commits:
        return None
    commit = tables.commits.pop()
    torn = [change for change in commit.changes if random.random() < 0.5]
    torn = torn or [random.choice(commit.changes)]
    names = []
    for change in reversed(torn):
        now = change.table.values.get(change.key)
        before = change.before
        if now is not None and random.random() < 0.5:
            cut = random.randrange(len(now))
            before = now[:cut] + (before or bytes(len(now)))[cut:]
        change.table.put(change.key, before)
        names.append(describe(change.table, change.key))
    return ", ".join(names)


def roll_back(
    tables: Tables, folder: StoredFolder, random: Random, transactions: int | None
) -> int:
    """Undo the last transactions, so many or some; return how many."""
    if transactions is None:
        transactions = random.randint(1, 1 + len(tables.commits) // 2)
    undone = 0
    while tables.commits and undone < transactions:
        commit = tables.commits.pop()
        undo(commit.changes)
        folder.put_back(cast("Mapping[str, StoredFile]", commit.folder))
        tables.last_txn_id = commit.number - 1
        undone += 1
    return undone


def return_old(tables: Tables, random: Random) -> str | None:
    """Put one record back to what it was before; return which, or None if none has changed."""
    seen: set[tuple[bytes, bytes]] = set()
    changed: list[Change] = []
    for commit in reversed(tables.commits):
        for change in reversed(commit.changes):
            place = (change.table.name, change.key)
            differs = change.table.values.get(change.key) != change.before
            if place not in seen and differs:
                changed.append(change)
            seen.add(place)
    if not changed:
        return None
    change = random.choice(changed)
    change.table.put(change.key, change.before)
    return describe(change.table, change.key)


def flip_bit(tables: Tables, folders: Sequence[StoredFolder], random: Random) -> str | None:
    """Flip one bit somewhere; return where, or None if there is nothing."""
    files = [item for folder in folders for item in folder.names.items() if item[1].data]
    found = tables.all_records()
    if files and (not found or random.random() < 0.2):
        name, file = random.choice(files)
        file.data[random.randrange(len(file.data))] ^= 1 << random.randrange(8)
        return name
    if not found:
        return None
    table, key = random.choice(found)
    value = table.values[key]
    name = describe(table, key)
    if not value or random.random() < 0.1:
        table.put(key, None)
        table.put(_flipped(key, random), value)
        return f"the key of {name}"
    table.put(key, _flipped(value, random))
    return name


def _flipped(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


def describe(table: Table, key: bytes) -> str:
    """Return what a person would call the record."""
    if table.name == schema.LOG_DB and len(key) == 8:
        return f"the run at index {schema.unpack_key(key, 'the log')}"
    return f"the record {key.decode('ascii', 'replace')!r}"
