"""What every room speaks: operations, errors, ids, clocks, settings. Standard library and msgspec only."""
