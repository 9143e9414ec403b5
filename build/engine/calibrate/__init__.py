"""Measure how far an engine's confidence can be trusted, and write what corrects it into its bundle."""
