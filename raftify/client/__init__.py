"""Talking to a cluster from outside it: `create_client` and the client that it returns."""

from raftify.client.directory import Connect
from raftify.client.service_client import RaftServiceClient, create_client

__all__ = ["Connect", "RaftServiceClient", "create_client"]
