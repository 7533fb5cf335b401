"""Features: defined once, joined point in time for training, looked up as of an instant for serving."""
