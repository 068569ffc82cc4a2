"""A replicated key-value store: each node a program of its own, with an HTTP face.

`python -m examples.memstore --help` for a cluster that grows by joining,
`python -m examples.memstore.static --help` for one whose members stand in a TOML file.
"""
