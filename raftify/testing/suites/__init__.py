"""What the suites for storages and for state machines share."""
