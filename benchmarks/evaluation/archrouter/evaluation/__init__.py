"""Measuring a running service: benchmark folders and policy suites, through the public API only."""
