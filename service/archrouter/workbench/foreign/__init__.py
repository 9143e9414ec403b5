"""Configurations of other routers as policy files, and a report of what has no counterpart."""
