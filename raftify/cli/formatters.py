"""What a program's own entries and snapshots look like, in that program's own words.

Which classes those are, the command line names as `package.module:Name`, or a program that calls
`raftify.cli.main.main` hands them over.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

from raftify.errors import ConfigError
from raftify.node.telling import EntryDecoder, Told, decoding, reason_of, tell
from raftify.state_machine import AbstractStateMachine, StreamingStateMachine

#: A state machine's class, something that returns an empty one, or a function as for entries:
#: the first two are called without arguments and restored, the last gets a snapshot's bytes.
Machine: TypeAlias = (
    type[AbstractStateMachine] | Callable[[], AbstractStateMachine] | Callable[[bytes], object]
)


@dataclass(frozen=True, slots=True)
class Formatters:
    """The program's own formatters; None where it has none."""

    decoder: EntryDecoder | None = None
    machine: Machine | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError if one of them cannot be called."""
        if self.decoder is not None:
            decoding(self.decoder)
        if self.machine is not None and not callable(self.machine):
            raise ConfigError(f"machine is {self.machine!r:.60}, no class and no function of bytes")

    def entry(self, data: bytes) -> Told | None:
        """Return what the decoder makes of a proposal; None without a decoder."""
        if self.decoder is None:
            return None
        decode = decoding(self.decoder)
        return tell(lambda: decode(data))

    def snapshot(self, file: BinaryIO) -> Told | None:
        """Return what the state machine says of itself once it is restored from `file`.

        None without a state machine. The file is read only if there is one.
        """
        machine = self.machine
        return None if machine is None else tell(lambda: _restored(machine, file))

    def state(self, data: bytes) -> Told | None:
        """Return what the state machine says of itself once it is decoded; None without one."""
        machine = self.machine
        return None if machine is None else tell(lambda: _decoded(machine, data))


def find_formatter(name: str) -> Callable[[bytes], object]:
    """Return what `name`, a `package.module:Name`, stands for.

    Modules are looked for in the current directory too.

    Raises:
        ConfigError: there is no such module or name, it fails when imported, or is no function.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise ConfigError(f"{name!r} names no formatter: write package.module:Name")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        found: object = importlib.import_module(module_name)
    except Exception as error:
        raise ConfigError(f"cannot import {module_name}: {reason_of(error)}") from error
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ConfigError(f"module {module_name} has no {attribute}") from None
    if not callable(found):
        raise ConfigError(f"{name} is {type(found).__name__}, no class and no function of bytes")
    return cast("Callable[[bytes], object]", found)


def _restored(machine: Machine, file: BinaryIO) -> object:
    if not _is_made_empty(machine):
        return cast("Callable[[bytes], object]", machine)(file.read())
    made = cast("Callable[[], object]", machine)()
    if isinstance(made, StreamingStateMachine):
        made.read_snapshot(file)
    elif isinstance(made, AbstractStateMachine):
        restoring = made.restore(file.read())
        if restoring is not None:
            asyncio.run(_awaited(restoring))
    else:
        raise TypeError(f"it made {type(made).__name__}, no AbstractStateMachine")
    return made


def _decoded(machine: Machine, data: bytes) -> object:
    if isinstance(machine, type) and issubclass(machine, AbstractStateMachine):
        return machine.decode(data)
    if not _is_made_empty(machine):
        return cast("Callable[[bytes], object]", machine)(data)
    made = cast("Callable[[], object]", machine)()
    if not isinstance(made, AbstractStateMachine):
        raise TypeError(f"it made {type(made).__name__}, no AbstractStateMachine")
    return made.decode(data)


def _is_made_empty(machine: Machine) -> bool:
    """Say whether `machine` is called without the bytes: a state machine's class, or a factory."""
    if isinstance(machine, type):
        return issubclass(machine, AbstractStateMachine)
    try:
        inspect.signature(machine).bind(b"")
    except TypeError:
        return True
    except ValueError:  # a function of C, which does not tell what it takes
        return False
    return False


async def _awaited(restoring: object) -> None:
    if inspect.isawaitable(restoring):
        await restoring
