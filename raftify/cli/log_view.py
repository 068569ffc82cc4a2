"""`raftify-cli describe logs`: the entries of a log directory, one line each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len, set_cell_size

from raftify.cli.console import make_console, print_json, print_note
from raftify.cli.entries import view_entry
from raftify.cli.formatters import Formatters
from raftify.core.types import Entry
from raftify.errors import Compacted, ConfigError
from raftify.storage.log_archive import ArchiveReader
from raftify.storage.log_reader import LogReader

_KIND_WIDTH = len("conf-change-v2")
_SIZE_WIDTH = 8
_LEAST_WORDS_WIDTH = 16


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entries to show: both ends are included, None is the log's own end.

    Of those, `limit` leaves the first so many, `tail` the last so many.
    """

    first: int | None = None
    last: int | None = None
    limit: int | None = None
    tail: int | None = None

    def bounds(self, first_index: int, last_index: int) -> tuple[int, int]:
        """Return the half-open range that is left of a log from `first_index` to `last_index`.

        Raises:
            ConfigError: the range asked for is turned around.
        """
        if self.first is not None and self.last is not None and self.first > self.last:
            raise ConfigError(f"--from {self.first} lies behind --to {self.last}")
        low = first_index if self.first is None else max(self.first, first_index)
        high = (last_index if self.last is None else min(self.last, last_index)) + 1
        high = max(low, high)
        if self.limit is not None:
            high = min(high, low + self.limit)
        if self.tail is not None:
            low = max(low, high - self.tail)
        return low, high


def describe_logs(path: Path, selection: Selection, *, raw: bool, formatters: Formatters) -> None:
    """Print the entries of the log at `path`, reading only as much as is being printed.

    Args:
        formatters: what the program whose log it is has to say of its entries.

    Raises:
        ConfigError: the selection makes no sense.
        StorageError: there is no log at `path`, or it is damaged; what was read before is printed.
    """
    with LogReader.open(path) as reader:
        note_unlocked(reader)
        low, high = selection.bounds(reader.first_index, reader.last_index)
        entries = _entries(reader, low, high)
        if raw:
            _print_raw(entries, formatters)
        else:
            shown = _print_table(entries, high, reader.hard_state.term, formatters)
            _print_end(shown, "the log", reader.first_index, reader.last_index)


def note_unlocked(reader: LogReader) -> None:
    """Say so if no node that is started now would know of `reader`."""
    if not reader.is_noted:
        print_note(
            f"{reader.path} cannot be written, so it is read without a lock: start no node on it "
            "until this has ended"
        )


def describe_archive(
    path: Path, selection: Selection, *, raw: bool, formatters: Formatters
) -> None:
    """Print the entries in the archive at `path`, as `describe_logs` does those of a log.

    Raises:
        ConfigError: the selection makes no sense.
        StorageError: there is no archive at `path`, or it is damaged; what was read before is
            printed.
    """
    archive = ArchiveReader(path)
    low, high = selection.bounds(archive.first_index, archive.last_index)
    entries = archive.entries(low, high)
    if raw:
        _print_raw(entries, formatters)
    else:
        shown = _print_table(entries, high, 0, formatters)
        _print_end(shown, "the archive", archive.first_index, archive.last_index)


def _entries(reader: LogReader, low: int, high: int) -> Iterator[Entry]:
    """Yield the entries of `[low, high)` but those that the running node discards meanwhile."""
    while low < high:
        try:
            for entry in reader.entries(low, high):
                yield entry
                low = entry.index + 1
        except Compacted:
            reader.refresh()
            if reader.first_index <= low:
                raise
            low = reader.first_index


def _print_raw(entries: Iterator[Entry], formatters: Formatters) -> None:
    for entry in entries:
        view = view_entry(entry, None, formatters)
        print_json(
            {
                "index": entry.index,
                "term": entry.term,
                "type": view.kind,
                "size": len(entry.data),
                **view.content,
            }
        )


def _print_table(entries: Iterator[Entry], high: int, term: int, formatters: Formatters) -> int:
    """Print a line for each entry, with room for indices below `high` and terms up to `term`.

    Returns how many there were.
    """
    console = make_console()
    index_width = max(len("index"), len(str(high)))
    term_width = max(len("term"), len(str(term)))
    words_width = max(
        _LEAST_WORDS_WIDTH,
        console.width - index_width - term_width - _KIND_WIDTH - _SIZE_WIDTH - 4 * 2,
    )
    console.print(
        f"{'index':>{index_width}}  {'term':>{term_width}}  {'type':<{_KIND_WIDTH}}  "
        f"{'size':>{_SIZE_WIDTH}}  data",
        style="bold",
    )
    shown = 0
    for entry in entries:
        view = view_entry(entry, words_width, formatters)
        sys.stdout.write(
            f"{entry.index:>{index_width}}  {entry.term:>{term_width}}  "
            f"{view.kind:<{_KIND_WIDTH}}  {len(entry.data):>{_SIZE_WIDTH}}  "
            f"{_fit(view.words, words_width)}\n"
        )
        shown += 1
    return shown


def _print_end(shown: int, what: str, first: int, last: int) -> None:
    whole = f"entries {first} to {last}" if last >= first else "no entries"
    make_console().print(f"{shown} shown; {what} holds {whole}", style="dim")


def _fit(text: str, width: int) -> str:
    """Cut `text` to `width` columns of a terminal, where some characters take two."""
    # A character of ASCII is one column; measuring others costs most of a listing's time.
    if len(text) <= width and (text.isascii() or cell_len(text) <= width):
        return text
    return set_cell_size(text.rstrip("…"), width - 1).rstrip() + "…"
