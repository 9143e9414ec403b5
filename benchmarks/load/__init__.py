"""The service under load, against the bare Triton behind it: latency, throughput, overload, soak, reloads."""
