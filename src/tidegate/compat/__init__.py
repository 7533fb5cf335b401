"""Other people's protocols: they translate and decide nothing."""
