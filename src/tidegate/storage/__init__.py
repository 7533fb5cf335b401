"""Three places to keep things: the catalog, the objects, the journal. Only here is a dialect or a bucket known."""
