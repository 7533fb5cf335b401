"""The prediction log, and the labels that arrive later."""
