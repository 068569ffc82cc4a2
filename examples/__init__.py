"""Programs that use raftify as its users do: through its public names only."""
