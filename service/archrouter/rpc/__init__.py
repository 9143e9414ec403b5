"""The gRPC edge: the pipeline of calls, servicers, and the server that holds them."""
