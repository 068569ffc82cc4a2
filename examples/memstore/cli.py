"""`raftify-cli` as memstore's users want it: it shows commands and hash stores, not their bytes."""

from __future__ import annotations

import sys

from examples.memstore.store import HashStore, SetCommand
from raftify.cli.main import main

if __name__ == "__main__":
    sys.exit(main(decoder=SetCommand, machine=HashStore, prog="memstore-cli"))
