"""What every `AbstractStateMachine` must do, as a test class to derive from; see docs/storage.md.

class TestCounter(StateMachineSuite):
    def make(self) -> Counter:
        return Counter()

    def entries(self) -> list[bytes]:
        return [b"add 1", b"add 2"]
"""

try:
    import pytest
except ImportError as error:
    raise ImportError(
        "raftify.testing.state_machine_suite needs pytest, which raftify itself does not: "
        "pip install pytest"
    ) from error

# The cases say by plain assertions what they found.
pytest.register_assert_rewrite(f"{__name__}.suite")

from raftify.testing.state_machine_suite.suite import (  # noqa: E402 - after what it must wait for
    StateMachineSuite,
)

__all__ = ["StateMachineSuite"]
