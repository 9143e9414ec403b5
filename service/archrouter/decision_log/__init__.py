"""The decision log: one line of JSON a decision, written beside the calls and read back without a gap unseen."""
