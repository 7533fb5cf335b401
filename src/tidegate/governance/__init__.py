"""People and roles, approvals, and reading the audit chain."""
