"""Points of metrics: their order, what sums a set of them up, the coding of chunks, and charts. Pure functions."""
