"""Recipe of the tiny checkpoint: a Qwen2-architecture router of under a million parameters for tests.

Run as ``python -m tiny_checkpoint`` with this folder's parent on the module path; see README.md beside this file.
"""
