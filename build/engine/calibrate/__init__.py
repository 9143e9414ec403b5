"""Measure how far an endpoint's confidence can be trusted, and write what corrects it into its bundle."""
