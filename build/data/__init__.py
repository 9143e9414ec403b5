"""Routing data: records, augmentation, training samples, duplicates, leakage, cards and the seed corpus.

Run it as ``python -m data COMMAND`` with the folder ``build`` on the path; ``python -m data --help`` lists the
commands. Every folder of records is a benchmark folder as ``archrouter eval`` reads it.
"""
