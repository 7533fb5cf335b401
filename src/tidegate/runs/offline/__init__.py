"""Runs of a process without a server: noted in a journal of their own, and brought to a home later."""
