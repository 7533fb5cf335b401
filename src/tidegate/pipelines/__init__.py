"""Pipelines: steps in order, each journaled, so that a run goes on where it was when its process was killed."""
