"""The commands this distribution adds to ``archrouter``: ``eval`` and ``compare``."""
