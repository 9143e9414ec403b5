"""What operators see: logs and metrics. Leaves of the import graph: they know no proto, no adapter, no application."""
