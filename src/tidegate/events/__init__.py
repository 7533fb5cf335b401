"""Facts: what changed, in the order of commits, for whoever wants to know."""
