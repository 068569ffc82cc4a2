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


def lives(name: str, description: str | None) -> argparse.Namespace:
    """Return the `directory` and the seeds, from `first` up to but without `end`, of a program."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    parser.add_argument("directory", type=Path)
    parser.add_argument("first", type=natural, metavar="first_seed")
    parser.add_argument("end", type=count, metavar="end_seed")
    arguments = parser.parse_args()
    if arguments.end <= arguments.first:
        parser.error(f"seeds from {arguments.first} up to {arguments.end} are none")
    return arguments
