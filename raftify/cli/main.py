"""The program `raftify-cli`."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from raftify.cli.formatters import Formatters, Machine, find_formatter
from raftify.cli.log_view import Selection, describe_archive, describe_logs
from raftify.cli.metadata_view import describe_metadata
from raftify.cli.node_view import describe_node
from raftify.cli.tls_options import add_tls_options, tls_of
from raftify.errors import ConfigError, RaftifyError, StorageError
from raftify.node.telling import EntryDecoder

PROGRAM = "raftify-cli"

EXIT_FINE = 0
EXIT_NO_ANSWER = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

_EPILOG = """\
exit codes:
  0    all was shown
  1    the node did not answer, or refused
  2    wrong usage, or there is no readable log at PATH
"""


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
        run(arguments, Formatters(decoder, machine))
        sys.stdout.flush()
    except (StorageError, ConfigError) as error:
        return _fail(prog, error, EXIT_USAGE)
    except RaftifyError as error:
        return _fail(prog, error, EXIT_NO_ANSWER)
    except BrokenPipeError:
        # Who reads the pipe has seen enough; what is still buffered must not be complained about.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        return _fail(prog, error, EXIT_USAGE)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return EXIT_FINE


def run(arguments: argparse.Namespace, formatters: Formatters) -> None:
    """Do what the arguments ask for; what they do not name, `formatters` has.

    Raises:
        StorageError, ConfigError: the path or an argument is wrong.
        RaftifyError: the node did not answer.
    """
    formatters = _formatters(arguments, formatters)
    match arguments.what:
        case "logs":
            selection = Selection(arguments.first, arguments.last, arguments.limit, arguments.tail)
            if arguments.archive is not None:
                describe_archive(
                    arguments.archive, selection, raw=arguments.raw, formatters=formatters
                )
            else:
                describe_logs(arguments.path, selection, raw=arguments.raw, formatters=formatters)
        case "metadata":
            describe_metadata(arguments.path, raw=arguments.raw, formatters=formatters)
        case _:
            asyncio.run(
                describe_node(
                    arguments.address,
                    timeout=arguments.timeout,
                    cluster_id=arguments.cluster_id,
                    raw=arguments.raw,
                    tls=tls_of(arguments),
                    formatters=formatters,
                )
            )


def _formatters(arguments: argparse.Namespace, own: Formatters) -> Formatters:
    """Return the formatters that the arguments name, else those the program has."""
    decoder, machine = own.decoder, own.machine
    if getattr(arguments, "decoder", None) is not None:
        decoder = find_formatter(arguments.decoder)
    if getattr(arguments, "machine", None) is not None:
        machine = find_formatter(arguments.machine)
    return Formatters(decoder, machine)


def make_parser(prog: str = PROGRAM) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Look into the logs and the nodes of a raftify cluster. Changes nothing.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{prog} {_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    describe = commands.add_parser(
        "describe", help="show a log's entries, a log's metadata, or a running node"
    )
    things = describe.add_subparsers(dest="what", metavar="WHAT", required=True)
    _add_logs(things)
    _add_metadata(things)
    _add_node(things)
    return parser


def _add_logs(things: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    logs = _add(things, "logs", "show the entries in a log directory, or in an archive")
    where = logs.add_mutually_exclusive_group(required=True)
    _add_path(where, nargs="?")
    where.add_argument(
        "--archive",
        type=Path,
        metavar="DIR",
        help="show what was discarded from the log and kept there (Config.compacted_log_dir)",
    )
    logs.add_argument("--from", dest="first", type=_index, metavar="INDEX", help="first to show")
    logs.add_argument("--to", dest="last", type=_index, metavar="INDEX", help="last to show")
    _add_decoder(logs)
    count = logs.add_mutually_exclusive_group()
    count.add_argument("--limit", type=_index, metavar="N", help="show the first N of them")
    count.add_argument("--tail", type=_index, metavar="N", help="show the last N of them")


def _add_metadata(things: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    metadata = _add(things, "metadata", "show whose log it is, its state and its membership")
    _add_path(metadata)
    metadata.add_argument(
        "--machine",
        metavar="MODULE:NAME",
        help="show the snapshot as this state machine does: its class, which is called without "
        "arguments and restored, or a function of the snapshot's bytes",
    )


def _add_node(things: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    node = _add(things, "node", "ask a running node for its state")
    node.add_argument("address", metavar="ADDR", help="the node's host:port")
    node.add_argument(
        "--timeout",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="how long to wait for the answer (default: 5)",
    )
    node.add_argument(
        "--cluster-id", default="", metavar="ID", help="refuse a node of any other cluster"
    )
    _add_decoder(node)
    add_tls_options(node)


def _add_decoder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--decoder",
        metavar="MODULE:NAME",
        help="show proposals as this class of entries does, or as what this function of bytes "
        "returns; for example myapp.store:SetCommand",
    )


def _add(
    things: argparse._SubParsersAction[argparse.ArgumentParser], name: str, purpose: str
) -> argparse.ArgumentParser:
    parser = things.add_parser(
        name,
        help=purpose,
        description=purpose[0].upper() + purpose[1:] + ".",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--raw",
        action="store_true",
        help="print JSON, one object a line, for scripts; bytes that are no printable text in hex",
    )
    return parser


def _add_path(parser: argparse._ActionsContainer, *, nargs: str | None = None) -> None:
    parser.add_argument(
        "path",
        type=Path,
        nargs=nargs,
        metavar="PATH",
        help="a node's log directory; the node may be running",
    )


def _index(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) >= 1 << 64:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 upwards")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def _version() -> str:
    try:
        return version("raftify")
    except PackageNotFoundError:
        return "(not installed)"


def _fail(prog: str, error: Exception, code: int) -> int:
    with suppress(OSError):  # what was read before the fault comes before the fault
        sys.stdout.flush()
    text = " ".join(str(error).split())
    print(f"{prog}: {text or type(error).__name__}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
