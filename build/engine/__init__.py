"""From a checkpoint to a verified TensorRT-LLM engine in a Triton model repository."""
