"""One edge per framework: here, and nowhere else, a framework's objects are known."""
