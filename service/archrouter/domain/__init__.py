"""Pure routing core: policies, conversations, posteriors and decisions. No I/O, standard library and numpy only."""
