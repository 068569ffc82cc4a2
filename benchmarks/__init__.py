"""Measurements of whole clusters; `make bench`."""
