"""The supervisor of controllers, and what crosses rooms: the walk from a prediction to its origins."""
