"""Implementations of the application's ports: files, tokenizers, Triton."""
