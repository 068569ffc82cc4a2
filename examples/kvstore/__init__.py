"""A key-value store over HTTP whose nodes all start alike, until `/init` makes them a cluster.

`python -m examples.kvstore --help` runs a node; `client.KvClient` talks to the cluster.
"""
