"""Whether two results differ: paired tests, intervals, corrections, and what may be concluded."""
