"""Numbers for retrieval and for answers."""
