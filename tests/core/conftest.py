"""Options of the core's tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --rewrite-golden, which has an effect where tests/core is named on the command line."""
    parser.addoption(
        "--rewrite-golden",
        action="store_true",
        default=False,
        help="write what the core does now into tests/core/golden; read the difference",
    )
