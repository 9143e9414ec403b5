"""Everything that speaks to Triton Inference Server: KServe v2 over gRPC, and the embedded server."""
