"""What a program asks of its node, by subject; `raftify.raft.Raft` is all of it in one object."""
