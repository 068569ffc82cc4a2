"""Checksums that are right, around content that need not be."""

from __future__ import annotations

import zlib


def sealed(batch: bytes) -> bytes:
    """Return `batch`, an encoded MessageBatch or not, with the checksum that it should have."""
    return batch + b"\x15" + zlib.crc32(batch).to_bytes(4, "little")
