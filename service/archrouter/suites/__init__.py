"""Policy suites as calls of a running service: requests, many at a time, and what came of each case."""
