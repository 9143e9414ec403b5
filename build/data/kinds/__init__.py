"""A held-out set of the kinds of message that real conversations are made of: ``benchmarks/data/kinds``."""
