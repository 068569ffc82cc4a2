"""Arguments of programs that run for long: a run of nothing must not say that all is well."""

from __future__ import annotations

import argparse
import math
from pathlib import Path


def positive(text: str) -> float:
    """Return a number above 0; for `argparse`, which ends with 2 for anything else."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (number > 0 and math.isfinite(number)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def count(text: str) -> int:
    """Return a whole number of at least 1; for `argparse`, which ends with 2 for anything else."""
    number = natural(text)
    if not number:
        raise argparse.ArgumentTypeError("0 would try nothing: give at least 1")
    return number


def natural(text: str) -> int:
    """Return a whole number of at least 0; for `argparse`, which ends with 2 for anything else."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def lives(name: str, description: str | None) -> tuple[Path, int, int]:
    """Return a program's directory and seeds, from the first up to but without the end."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    parser.add_argument("directory", type=Path)
    _add_seeds(parser)
    arguments = parser.parse_args()
    return arguments.directory, *_seeds(parser, arguments)


def seeds(name: str, description: str | None) -> tuple[int, int]:
    """Return the seeds alone, of a program that needs no directory."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    _add_seeds(parser)
    return _seeds(parser, parser.parse_args())


def _add_seeds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", type=natural, metavar="first_seed")
    parser.add_argument("end", type=count, metavar="end_seed")


def _seeds(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> tuple[int, int]:
    if arguments.end <= arguments.first:
        parser.error(f"seeds from {arguments.first} up to {arguments.end} are none")
    return arguments.first, arguments.end
