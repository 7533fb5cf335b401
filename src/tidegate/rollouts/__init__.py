"""Rollouts: a canary takes over step by step, judged by tests that may be watched, and goes back where it does harm."""
