"""Every setting of a node: what there is, and where it may be read from."""

from raftify.config.settings import MIB, Config
from raftify.config.tls import TlsConfig

__all__ = ["MIB", "Config", "TlsConfig"]
