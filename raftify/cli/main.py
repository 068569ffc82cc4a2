"""The program `raftify-cli`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from raftify.cli.cluster_commands import add_cluster
from raftify.cli.describe_commands import add_describe
from raftify.cli.formatters import Formatters, Machine
from raftify.cli.member_commands import add_member
from raftify.cli.options import EPILOG
from raftify.errors import ConfigError, OutcomeUnknown, RaftifyError, StorageError
from raftify.node.telling import EntryDecoder

PROGRAM = "raftify-cli"

EXIT_FINE = 0
EXIT_NO_ANSWER = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

_UNKNOWN = " (what was asked for may have happened, or may yet: look, and ask again, which is safe)"


def main(
    argv: Sequence[str] | None = None,
    *,
    decoder: EntryDecoder | None = None,
    machine: Machine | None = None,
    prog: str = PROGRAM,
) -> int:
    """Run `raftify-cli` and return its exit code.

    A program makes a CLI of its own by calling this with its own classes:

        sys.exit(main(decoder=MyEntry, machine=MyStateMachine, prog="my-cli"))

    Args:
        argv: the arguments; those of the process if None.
        decoder: the class of the program's entries, or a function from bytes to anything that
            `str` shows well. `--decoder` on the command line comes first.
        machine: the class of the program's state machine, a function that returns an empty one,
            or a function from a snapshot's bytes. `--machine` comes first.
        prog: what the program is called in its help and its complaints.
    """
    try:
        arguments = make_parser(prog).parse_args(argv)
    except SystemExit as end:  # argparse has said why, or shown its help
        return end.code if isinstance(end.code, int) else EXIT_USAGE
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Whatever the terminal's encoding lacks shows as '?' instead of ending the listing.
        sys.stdout.reconfigure(errors="replace")
    try:
        arguments.run(arguments, Formatters(decoder, machine))
        sys.stdout.flush()
    except (StorageError, ConfigError) as error:
        return _fail(prog, error, EXIT_USAGE)
    except RaftifyError as error:
        unknown = arguments.changes and isinstance(error, OutcomeUnknown)
        return _fail(prog, error, EXIT_NO_ANSWER, _UNKNOWN if unknown else "")
    except BrokenPipeError:
        # Who reads the pipe has seen enough; what is still buffered must not be complained about.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        return _fail(prog, error, EXIT_USAGE)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return EXIT_FINE


def make_parser(prog: str = PROGRAM) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Look into the logs and nodes of a raftify cluster; change who belongs to it "
        "and who leads.\nWhat is called describe or list changes nothing.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{prog} {_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_describe(commands)
    add_member(commands)
    add_cluster(commands)
    return parser


def _version() -> str:
    try:
        return version("raftify")
    except PackageNotFoundError:
        return "(not installed)"


def _fail(prog: str, error: Exception, code: int, hint: str = "") -> int:
    with suppress(OSError):  # what was read before the fault comes before the fault
        sys.stdout.flush()
    text = " ".join(str(error).split())
    print(f"{prog}: {text or type(error).__name__}{hint}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
