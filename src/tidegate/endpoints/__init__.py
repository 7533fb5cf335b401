"""Endpoints: deployments, routing, and the inference hot path."""
