"""The gRPC edge: servicers, interceptors, and the server that holds them."""
