"""Other ways to route on the same data: accuracy and latency of libraries people would use instead, beside our tiers.

Run as ``python -m benchmarks.peers`` from the repository's root; ``../README.md`` has the method and the results.

``examples`` reads labelled queries to fit on, ``tfidf`` and ``aurelio`` are the peers, ``tiers`` asks this project's
service, ``report`` shows.
"""
