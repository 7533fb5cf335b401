"""Pure numerics: metrics, intervals, tests. No I/O, no clock."""
