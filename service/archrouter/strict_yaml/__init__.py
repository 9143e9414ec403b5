"""Strict YAML: one document of mappings, lists and scalars, read without guessing, every finding with its position."""
