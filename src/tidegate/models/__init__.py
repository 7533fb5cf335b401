"""Versions of models: formats that load and predict, signatures, stages, attestations."""
