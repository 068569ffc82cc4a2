"""Values for storage tests: those that the cases of the suite write."""

from raftify.testing.storage_suite.making import IDENTITY, MEMBERS, make_entries, make_snapshot

__all__ = ["IDENTITY", "MEMBERS", "make_entries", "make_snapshot"]
