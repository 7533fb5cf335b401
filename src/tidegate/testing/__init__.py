"""Contract suites and fixtures that authors of plug-ins run against their own parts."""
