"""Files → notes → sections → chunks."""
