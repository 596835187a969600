"""Speed, memory and ranking on real notes; not part of the wheel."""
