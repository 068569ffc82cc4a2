"""Every setting of a node: what there is, and where it may be read from."""

from raftify.config.settings import MIB, Config

__all__ = ["MIB", "Config"]
