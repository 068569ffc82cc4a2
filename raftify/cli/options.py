"""What the commands of `raftify-cli` share: how one is added, and how it reaches a node."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from raftify.cli.formatters import Formatters
from raftify.cli.tls_options import add_tls_options, tls_of
from raftify.client import RaftServiceClient, create_client
from raftify.config import Config

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
#: What a command does with its arguments; what they do not name, the formatters have.
Run: TypeAlias = Callable[[argparse.Namespace, Formatters], None]

EPILOG: Final = """\
exit codes:
  0    all was shown, or done
  1    the node did not answer, or refused; or it is not known whether it did what was asked
  2    wrong usage, or there is no readable log at PATH
"""


def add_group(commands: Commands, name: str, purpose: str) -> Commands:
    """Add a command that has commands of its own; return where they go."""
    group = commands.add_parser(name, help=purpose, description=_sentence(purpose))
    return group.add_subparsers(metavar="COMMAND", required=True)


def add_command(
    commands: Commands, name: str, purpose: str, run: Run, *, changes: bool = False
) -> argparse.ArgumentParser:
    """Add a command that `run` carries out; `changes` says that it does more than look.

    What it shows, it shows as JSON with `--raw`.
    """
    parser = commands.add_parser(
        name,
        help=purpose,
        description=_sentence(purpose),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, changes=changes)
    parser.add_argument(
        "--raw",
        "--json",
        dest="raw",
        action="store_true",
        help="print JSON, one object a line, for scripts; bytes that are no printable text in hex",
    )
    return parser


def _sentence(purpose: str) -> str:
    return purpose[0].upper() + purpose[1:] + "."


def add_address(parser: argparse.ArgumentParser, *, seconds: float, one: bool = False) -> None:
    """Add what says which node, or with `one` which single node, is asked, and how it is reached.

    `client_of` reads it. `seconds` is how long a call waits by default.
    """
    if one:
        parser.add_argument("addresses", type=_as_list, metavar="ADDR", help="the node's host:port")
    else:
        parser.add_argument(
            "addresses",
            type=_apart,
            metavar="ADDR",
            help="host:port of any member; several with commas",
        )
    parser.add_argument(
        "--timeout",
        type=positive_seconds,
        default=seconds,
        metavar="SECONDS",
        help=f"how long to wait for the answer (default: {seconds:g})",
    )
    parser.add_argument(
        "--cluster-id", default="", metavar="ID", help="refuse a node of any other cluster"
    )
    add_tls_options(parser)


def _as_list(address: str) -> list[str]:
    return [address]


def _apart(addresses: str) -> list[str]:
    return addresses.split(",")


def client_of(arguments: argparse.Namespace) -> RaftServiceClient:
    """Return a client as the arguments of `add_address` say.

    Raises:
        ConfigError: an address cannot be read, or the certificates cannot.
    """
    return create_client(
        arguments.addresses,
        timeout=arguments.timeout,
        cluster_id=arguments.cluster_id,
        config=Config(tls=tls_of(arguments)),
    )


def add_path(parser: argparse._ActionsContainer, *, nargs: str | None = None) -> None:
    parser.add_argument(
        "path",
        type=Path,
        nargs=nargs,
        metavar="PATH",
        help="a node's log directory; the node may be running",
    )


def log_index(text: str) -> int:
    """Read an index of the log, for argparse."""
    if not (text.isascii() and text.isdecimal()) or int(text[:21]) >= 1 << 64:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 upwards")
    return int(text)


def node_id(text: str) -> int:
    """Read a node's id, for argparse."""
    found = log_index(text)
    if not found:
        raise argparse.ArgumentTypeError("node ids begin at 1")
    return found


def positive_seconds(text: str) -> float:
    """Read a time, for argparse."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds
