"""A replicated order book: limit and market orders, matched by price and then by time.

`python -m examples.matchengine --help` runs a node, `python -m examples.matchengine.bench` measures
a cluster, `client.MatchClient` talks to one.
"""
