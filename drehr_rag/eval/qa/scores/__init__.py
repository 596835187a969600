"""What answers are measured by: one idea a file."""
