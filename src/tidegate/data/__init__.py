"""Datasets: manifests, commits, contracts, rows to train on."""
