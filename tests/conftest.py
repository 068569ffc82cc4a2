"""What holds for every test: the environment is that of a user who has set nothing."""

from __future__ import annotations

import os

# Config.load takes each variable RAFTIFY_* for a setting, also in the programs that tests start.
if "RAFTIFY_CONFORMANCE" in os.environ:
    os.environ["CONFORMANCE_FILES"] = os.environ.pop("RAFTIFY_CONFORMANCE")
