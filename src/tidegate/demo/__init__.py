"""A model from raw data to a monitored answer, on real flights."""
