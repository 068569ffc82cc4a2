"""`raftify-cli describe`: what looks at logs and nodes, and changes nothing."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Final

from raftify.cli.formatters import Formatters, find_formatter
from raftify.cli.log_view import Selection, describe_archive, describe_logs
from raftify.cli.metadata_view import describe_metadata
from raftify.cli.metrics_view import describe_metrics
from raftify.cli.node_view import describe_node
from raftify.cli.options import (
    Commands,
    add_address,
    add_command,
    add_group,
    add_path,
    client_of,
    log_index,
)

#: Seconds to wait for a node to describe itself.
_SECONDS: Final = 5.0


def add_describe(commands: Commands) -> None:
    things = add_group(
        commands, "describe", "show a log's entries, a log's metadata, or a running node"
    )
    _add_logs(things)
    _add_metadata(things)
    _add_node(things)
    metrics = add_command(
        things, "metrics", "ask a running node for its metrics, all of raft.metrics()", _metrics
    )
    add_address(metrics, seconds=_SECONDS, one=True)


def _add_logs(things: Commands) -> None:
    logs = add_command(
        things, "logs", "show the entries in a log directory, or in an archive", _logs
    )
    where = logs.add_mutually_exclusive_group(required=True)
    add_path(where, nargs="?")
    where.add_argument(
        "--archive",
        type=Path,
        metavar="DIR",
        help="show what was discarded from the log and kept there (Config.compacted_log_dir)",
    )
    logs.add_argument("--from", dest="first", type=log_index, metavar="INDEX", help="first to show")
    logs.add_argument("--to", dest="last", type=log_index, metavar="INDEX", help="last to show")
    _add_decoder(logs)
    count = logs.add_mutually_exclusive_group()
    count.add_argument("--limit", type=log_index, metavar="N", help="show the first N of them")
    count.add_argument("--tail", type=log_index, metavar="N", help="show the last N of them")


def _add_metadata(things: Commands) -> None:
    metadata = add_command(
        things, "metadata", "show whose log it is, its state and its membership", _metadata
    )
    add_path(metadata)
    metadata.add_argument(
        "--machine",
        metavar="MODULE:NAME",
        help="show the snapshot as this state machine does: its class, which is called without "
        "arguments and restored, or a function of the snapshot's bytes",
    )


def _add_node(things: Commands) -> None:
    node = add_command(things, "node", "ask a running node for its state", _node)
    add_address(node, seconds=_SECONDS, one=True)
    _add_decoder(node)
    node.add_argument(
        "--state",
        action="store_true",
        help="have the node send its whole state machine, and show it; nothing is applied there "
        "while it is encoded",
    )
    node.add_argument(
        "--machine",
        metavar="MODULE:NAME",
        help="with --state, which it implies: show it as this class does, by its decode, or as "
        "what this function of bytes returns",
    )


def _add_decoder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--decoder",
        metavar="MODULE:NAME",
        help="show proposals as this class of entries does, or as what this function of bytes "
        "returns; for example myapp.store:SetCommand",
    )


def _logs(arguments: argparse.Namespace, own: Formatters) -> None:
    formatters = _formatters(arguments, own)
    selection = Selection(arguments.first, arguments.last, arguments.limit, arguments.tail)
    if arguments.archive is not None:
        describe_archive(arguments.archive, selection, raw=arguments.raw, formatters=formatters)
    else:
        describe_logs(arguments.path, selection, raw=arguments.raw, formatters=formatters)


def _metadata(arguments: argparse.Namespace, own: Formatters) -> None:
    describe_metadata(arguments.path, raw=arguments.raw, formatters=_formatters(arguments, own))


def _node(arguments: argparse.Namespace, own: Formatters) -> None:
    asyncio.run(
        describe_node(
            client_of(arguments),
            raw=arguments.raw,
            formatters=_formatters(arguments, own),
            with_state=arguments.state or arguments.machine is not None,
        )
    )


def _metrics(arguments: argparse.Namespace, _own: Formatters) -> None:
    asyncio.run(describe_metrics(client_of(arguments), raw=arguments.raw))


def _formatters(arguments: argparse.Namespace, own: Formatters) -> Formatters:
    """Return the formatters that the arguments name, else those the program has."""
    decoder, machine = own.decoder, own.machine
    if getattr(arguments, "decoder", None) is not None:
        decoder = find_formatter(arguments.decoder)
    if getattr(arguments, "machine", None) is not None:
        machine = find_formatter(arguments.machine)
    return Formatters(decoder, machine)
