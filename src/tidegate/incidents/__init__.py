"""Incidents: opened by facts, with a timeline, acknowledged and resolved by people."""
