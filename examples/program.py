"""What the examples' programs share: options, signals, ports, and what their exit codes say.

Exit codes: 0 after Ctrl-C, SIGTERM or having left the cluster; 1 if the node failed while running;
2 if it could not start, with one line on standard error that says why.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Coroutine

import raftify
from raftify import Address, Raft
from raftify.errors import AddressInUse, ConfigError, RaftifyError


class CannotStart(Exception):
    """The program ends with code 2 and this message."""


def add_options(parser: argparse.ArgumentParser, *, tick: float | None = 0.1) -> None:
    """Add what every program can be told."""
    parser.add_argument(
        "--tick", type=float, default=tick, metavar="SECONDS", help="length of a tick"
    )
    parser.add_argument("--verbose", action="store_true", help="log what the node does")


def add_joining_options(parser: argparse.ArgumentParser, *, log_prefix: str) -> None:
    """Add what a node of a growing cluster can be told; see `log_dir_of`."""
    parser.add_argument(
        "--raft-addr", required=True, metavar="HOST:PORT", help="where other nodes reach this one"
    )
    parser.add_argument(
        "--peer-addr", metavar="HOST:PORT",
        help="any member of the cluster to join (default: found one)",
    )  # fmt: skip
    parser.add_argument(
        "--log-dir", metavar="DIR",
        help=f"where log and snapshots are kept (default: {log_prefix}HOST-PORT)",
    )  # fmt: skip
    parser.add_argument(
        "--join-timeout", type=float, default=60.0, metavar="SECONDS",
        help="how long to wait for the cluster to answer a joiner",
    )  # fmt: skip


def log_dir_of(arguments: argparse.Namespace, *, log_prefix: str) -> str:
    """Return `--log-dir`, or a directory with the node's address in its name."""
    if arguments.log_dir is not None:
        return str(arguments.log_dir)
    address = Address.parse(arguments.raft_addr)
    return f"{log_prefix}{address.host.strip('[]')}-{address.port}"


def started(raft: Raft, raft_addr: str, log_dir: str) -> str:
    """Return what to say once the node listens at its address."""
    return f"node {raft.get_id()} serves raft on {raft_addr}, its log is in {log_dir}"


def run_program(name: str, program: Coroutine[None, None, None], *, verbose: bool) -> int:
    """Run `program` to its end; return the exit code."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        with asyncio.Runner(loop_factory=raftify.new_event_loop) as runner:
            runner.run(program)
    except (CannotStart, AddressInUse, ConfigError) as error:
        # That a port is taken is known only once the node runs, but before it begins to work.
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except RaftifyError as error:
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # before the node had begun to listen to signals
    return 0


def as_cannot_start(error: RaftifyError) -> CannotStart:
    """Return what to raise for an error that keeps a node from starting."""
    return CannotStart(f"{type(error).__name__}: {error}")


def listen(option: str, text: str) -> socket.socket:
    """Return a socket that listens at `text`, as the command line's `option` says.

    Raises:
        CannotStart: that is no address, or another program listens there.
    """
    try:
        address = Address.parse(text)
        family = socket.AF_INET6 if address.host.startswith("[") else socket.AF_INET
        return socket.create_server((address.host.strip("[]"), address.port), family=family)
    except RaftifyError as error:
        raise CannotStart(f"{option}: {error}") from error
    except OSError as error:
        raise CannotStart(f"cannot answer HTTP on {text}: {error.strerror}") from error


def stop_on_signals() -> asyncio.Event:
    """Return what is set by Ctrl-C and SIGTERM from now on."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
