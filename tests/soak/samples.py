"""The samples of a run, on disk as they come: who measures its own memory must not fill it."""

from __future__ import annotations

import csv
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.soak.vitals import Sample

_TYPES: dict[str, type[Any]] = {"str": str, "int": int, "float": float}


class SampleFile:
    """A CSV file of samples; `latest` is the last one of each process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.latest: dict[str, Sample] = {}

    def __enter__(self) -> Self:
        self._file = self._path.open("w", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, [field.name for field in fields(Sample)])
        self._writer.writeheader()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def note(self, sample: Sample) -> None:
        self._writer.writerow(asdict(sample))
        self.latest[sample.who] = sample

    def read(self) -> list[Sample]:
        """Return all samples so far."""
        self._file.flush()
        with self._path.open(newline="", encoding="utf-8") as file:
            return [Sample(**_typed(row)) for row in csv.DictReader(file)]


def _typed(row: dict[str, str]) -> dict[str, Any]:
    return {field.name: _TYPES[str(field.type)](row[field.name]) for field in fields(Sample)}
