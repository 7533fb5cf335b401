"""The command line: commands derived from operations."""
