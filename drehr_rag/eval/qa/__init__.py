"""Questions and answers: sets, runs, scores, a judge."""
