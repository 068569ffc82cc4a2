"""The sizes that `raftify-cli describe metadata` shows."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import cast

import pytest

from raftify.cli import metadata_view


@pytest.mark.parametrize(
    ("status", "size"),
    [(SimpleNamespace(st_size=1234), 1234), (SimpleNamespace(st_size=1 << 40, st_blocks=8), 4096)],
    ids=["windows", "sparse"],
)
def test_a_size_is_shown_where_files_have_no_blocks(status: SimpleNamespace, size: int) -> None:
    """Windows knows only how long a file is."""
    assert metadata_view._size_on_disk(cast("os.stat_result", status)) == size
