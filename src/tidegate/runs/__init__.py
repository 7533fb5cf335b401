"""Experiments and runs: params, metrics, artifacts, code and environment."""
