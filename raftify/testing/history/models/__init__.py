"""Models of common objects. For an object of your own, write a `Model`."""

from raftify.testing.history.models.fifo_queue import FifoQueue
from raftify.testing.history.models.key_value import KeyValue

__all__ = ["FifoQueue", "KeyValue"]
