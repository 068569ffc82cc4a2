"""`make demo`: three processes, a leader killed under load, and a check that nothing was lost."""
