"""Makes model_repository/compact_router: exports its encoder, fits its scalars, stamps its files and measures it.

Run the programs as ``python -m compact_router.<program>``; see README.md beside this file.
"""
