"""Closes, on a real GPU host, what was only read about TensorRT-LLM and its Triton backend."""
