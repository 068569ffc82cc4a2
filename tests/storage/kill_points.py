"""Lets a writer die at one system call of many kinds, and looks at what it left.

    python -m tests.storage.kill_points DIRECTORY FIRST_SEED END_SEED

A child takes steps; before one of them it asks the kernel (seccomp, Linux) to end it at the next
call of some kind: the pages of a transaction, their sync, the meta page, the bytes, sync and new
name of a snapshot, the removal of the old one. No handler runs, as by kill -9.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import struct
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from raftify.config import Config
from raftify.errors import StorageError
from raftify.storage import LmdbStorage, LogReader, MemStorage, WriteBatch
from raftify.testing.storage_suite.steps import describe, take_step
from tests.soak.arguments import lives
from tests.storage.making import IDENTITY, MEMBERS, make_entries

_NUMBERS: Final = {
    "x86_64": {
        "write": 1,
        "lseek": 8,
        "pwrite64": 18,
        "writev": 20,
        "fsync": 74,
        "fdatasync": 75,
        "rename": 82,
        "unlink": 87,
    },
    "aarch64": {
        "unlink": 35,
        "rename": 38,
        "lseek": 62,
        "write": 64,
        "writev": 66,
        "pwrite64": 68,
        "fsync": 82,
        "fdatasync": 83,
    },
}.get(platform.machine() if sys.platform == "linux" else "", {})

_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_INSTRUCTION: Final = struct.Struct("HBBI")
#: LMDB writes so much of a meta page; a page has 4096.
_META_BYTES: Final = 120
#: How many steps a writer takes behind the one before which it chose its death.
_STEPS: Final = 60


@dataclass(frozen=True)
class Point:
    """A kind of call: its name, and which argument must be at least, or equal to, what."""

    name: str
    call: str
    argument: int = 0
    at_least: int = 0
    exactly: bool = False

    def program(self, error: int) -> bytes:
        """Return the filter that ends the process there, or lets the call fail with `error`."""
        compare = _IF_EQUAL if self.exactly else _IF_AT_LEAST
        instructions = [
            (_LOAD, 0, 0, 0),
            (_IF_EQUAL, 0, 3, _NUMBERS[self.call]),
            # The low half of an argument, on little-endian machines.
            (_LOAD, 0, 0, 16 + 8 * self.argument),
            (compare, 0, 1, self.at_least),
            (_RETURN, 0, 0, _FAIL | error if error else _KILL),
            (_RETURN, 0, 0, _ALLOW),
        ]
        return b"".join(_INSTRUCTION.pack(*one) for one in instructions)


def points(rng: Random) -> list[Point]:
    """Return all kinds; for those that seek, beyond some page."""
    page = 4096 * rng.randrange(2, 60)
    return [
        Point("pages", "writev"),
        Point("pages beyond", "lseek", argument=1, at_least=page),
        Point("one page", "pwrite64", argument=2, at_least=4096, exactly=True),
        Point("sync", "fdatasync"),
        Point("meta page", "pwrite64", argument=2, at_least=_META_BYTES, exactly=True),
        # What it writes to standard output does not count.
        Point("snapshot bytes", "write", argument=0, at_least=3),
        Point("snapshot sync", "fsync"),
        Point("snapshot name", "rename"),
        Point("snapshot removal", "unlink"),
    ]


def is_possible() -> bool:
    """Say whether this machine can do it."""
    if not _NUMBERS or sys.byteorder != "little":
        return False
    pid = os.fork()
    if pid == 0:
        die_at(Point("sync", "fdatasync"))
        os.fdatasync(0)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGSYS


def die_at(point: Point, error: int = 0) -> None:
    """Let this thread's process end at the next such call, or each of them fail with `error`.

    There is no way back.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    code = point.program(error)
    buffer = ctypes.create_string_buffer(code, len(code))
    length = len(code) // _INSTRUCTION.size
    header = struct.pack("HxxxxxxQ", length, ctypes.addressof(buffer))
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0:
        libc.prctl(_SET_SECCOMP, _FILTER, ctypes.create_string_buffer(header, len(header)), 0, 0)


def try_life(directory: Path, seed: int) -> Counter[str]:
    """Let writers live and die in `directory`; return how many died at what.

    Raises:
        AssertionError: what one left is neither the state before its last step nor behind it.
    """
    rng = Random(seed)
    storage = LmdbStorage.create(directory)
    storage.initialize(IDENTITY, MEMBERS)
    storage.close()
    model = MemStorage.create()
    model.initialize(IDENTITY, MEMBERS)
    died: Counter[str] = Counter()
    step = seed * 100_000
    kinds = points(rng)
    rng.shuffle(kinds)
    for point in kinds:
        done, killed = _write_until_dead(directory, step, rng.randrange(20), point)
        for one in range(step, done + 1):
            take_step(model, one)
        step = done + 1
        died[point.name if killed else "never"] += 1
        storage = LmdbStorage.create(directory, Config(entry_cache_bytes=0))
        found = describe(storage)
        if found != describe(model):
            take_step(model, step)
            step += 1
        if found != describe(model):
            raise AssertionError(f"seed {seed}: what a writer left that died at {point} is wrong")
        if len(list((directory / "snapshots").iterdir())) > 1:
            raise AssertionError(f"seed {seed}: files of dead snapshots were left")
        storage.close()
        with LogReader.open(directory) as reader:
            damage = list(reader.verify())
        if damage:
            raise AssertionError(f"seed {seed}: {point} left {damage}")
    return died


def _write_until_dead(directory: Path, step: int, before: int, point: Point) -> tuple[int, bool]:
    """Let a child take steps; return the last one it reported, and whether it was killed."""
    report, to_report = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            storage = LmdbStorage.create(directory)
            # Standard output, so that no other descriptor is written to but those of the log.
            os.dup2(to_report, 1)
            for one in range(step, step + before + _STEPS):
                if one == step + before:
                    die_at(point)
                take_step(storage, one)
                os.write(1, b"%d\n" % one)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(to_report)
    with os.fdopen(report, "rb") as reports:
        output = reports.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code not in (0, -signal.SIGSYS):
        raise AssertionError(f"the writer ended with {code}")
    reported = output.split()
    return int(reported[-1]) if reported else step - 1, code != 0


def try_errors(directory: Path) -> Counter[str]:
    """Let each kind of call of a commit fail for good; return what a writer was told how often.

    Raises:
        AssertionError: what it had written before is not there, or what failed is there in part.
    """
    told: Counter[str] = Counter()
    for point in points(Random(1)):
        for error in (errno.EIO, errno.ENOSPC):
            here = directory / f"{point.name} {error}".replace(" ", "_")
            storage = LmdbStorage.create(here)
            storage.initialize(IDENTITY, MEMBERS)
            storage.write(WriteBatch(entries=make_entries(2, 50)))
            storage.close()
            pid = os.fork()
            if pid == 0:
                os._exit(_write_in_vain(here, point, error))
            told[_TOLD[os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]] += 1
            storage = LmdbStorage.create(here)
            last = storage.last_index()
            held = [*make_entries(2, 50), *make_entries(50, last + 1, size=3000)]
            if last not in (49, 89) or storage.entries(2, last + 1) != held:
                raise AssertionError(f"a failing {point} left a log that ends at {last}")
            storage.close()
    return told


_TOLD: Final = ("nothing failed", "StorageError", "StorageFull", "StorageDamaged", "something else")


def _write_in_vain(directory: Path, point: Point, error: int) -> int:
    """Write twice while a call fails; return the number of what was raised, as in _TOLD."""
    codes = [0]
    try:
        storage = LmdbStorage.create(directory)
        die_at(point, error)
        for _ in range(2):
            try:
                storage.write(WriteBatch(entries=make_entries(50, 90, size=3000)))
            except StorageError as raised:
                codes.append(_TOLD.index(type(raised).__name__))
    except BaseException:  # noqa: BLE001 - the child says it by its code
        return len(_TOLD) - 1
    return max(codes)


def main() -> None:
    """Try seeds; print how many writers died at what."""
    directory, first, end = lives("tests.storage.kill_points", __doc__)
    if not is_possible():
        print("impossible: 1")  # noqa: T201 - read by the tests
        return
    died: Counter[str] = Counter()
    for seed in range(first, end):
        died += try_life(directory / f"life{seed}", seed)
    died += try_errors(directory)
    for what, count in sorted(died.items()):
        print(f"{what}: {count}")  # noqa: T201 - read by the tests


if __name__ == "__main__":
    main()
