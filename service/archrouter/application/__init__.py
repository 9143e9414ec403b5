"""Use cases over the domain, and the ports that adapters implement."""
