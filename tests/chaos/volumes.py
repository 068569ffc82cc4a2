"""A disk of its own for each machine: it can fill up and freeze as real ones do.

Which kind there is depends on what the system allows: a file system on a loop device, which fills
up and freezes; one in memory of limited size, which fills up; or just a directory, where a limit on
the size of files has to stand for a full disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import shutil
from pathlib import Path

from tests.chaos.namespaces import run

_SIZE_MIB = 64
_BLOCK = bytes(1 << 16)


class Directory:
    """A place on the disk that everybody shares."""

    kind = "shared directory, full by RLIMIT_FSIZE"
    can_freeze = False

    def __init__(self, path: Path) -> None:
        self.path = path

    async def open(self) -> None:
        """Make it, empty."""
        self.path.mkdir(parents=True)

    async def close(self) -> None:
        """Remove it with all that it holds."""
        shutil.rmtree(self.path)

    async def fill(self, pid: int) -> None:
        """Leave no room for the process `pid`, which writes here."""
        largest = max((p.stat().st_size for p in self.path.rglob("*") if p.is_file()), default=0)
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest, hard))

    async def empty(self, pid: int | None) -> None:
        """Make room again; None: that process has ended."""
        if pid is not None:
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))

    async def freeze(self, seconds: float) -> None:
        """Let every write wait for that long."""
        raise NotImplementedError(f"{self.kind} cannot freeze")


class InMemory(Directory):
    """A file system in memory, of limited size."""

    kind = "tmpfs, full for real"

    async def open(self) -> None:
        await super().open()
        await run("mount", "-t", "tmpfs", "-o", f"size={_SIZE_MIB}m", "none", str(self.path))

    async def close(self) -> None:
        await run("umount", str(self.path))
        self.path.rmdir()

    async def fill(self, pid: int) -> None:
        await asyncio.to_thread(_fill, self._ballast)

    async def empty(self, pid: int | None) -> None:
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"


class Loop(InMemory):
    """An ext4 file system in a file: what is synced goes to the disk below it."""

    kind = "ext4 on loop devices, full and frozen for real"
    can_freeze = True

    async def open(self) -> None:
        self.path.mkdir(parents=True)
        image = self.path.with_suffix(".img")
        with image.open("wb") as file:
            file.truncate(_SIZE_MIB << 20)
        await run("mkfs.ext4", "-q", "-m", "0", "-F", str(image))
        await run("mount", "-o", "loop,noatime", str(image), str(self.path))

    async def close(self) -> None:
        await super().close()
        self.path.with_suffix(".img").unlink()

    async def freeze(self, seconds: float) -> None:
        # In one command that goes on without us: nobody else would ever thaw it.
        where = str(self.path)
        script = 'fsfreeze --freeze "$1" && sleep "$2"; fsfreeze --unfreeze "$1"'
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", script, "sh", where, str(seconds), start_new_session=True
        )
        await asyncio.shield(process.wait())


def _fill(ballast: Path) -> None:
    """Write until nothing more fits, down to the last byte."""
    with ballast.open("wb", buffering=0) as file:
        block = _BLOCK
        while block:
            try:
                file.write(block)
                os.fsync(file.fileno())
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                block = block[: len(block) // 2]


async def best_volume(directory: Path) -> type[Directory]:
    """Return the truest kind of volume that can be made below `directory`."""
    for kind in (Loop, InMemory):
        trial = kind(directory / "trial")
        try:
            await trial.open()
        except (OSError, RuntimeError):
            with contextlib.suppress(OSError):
                shutil.rmtree(trial.path)
            trial.path.with_suffix(".img").unlink(missing_ok=True)
        else:
            await trial.close()
            return kind
    return Directory
