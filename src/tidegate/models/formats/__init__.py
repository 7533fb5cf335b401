"""The formats in which a model is kept, loaded and asked; each stands in a file of its own."""
