"""The benchmark: how many complete orders a second, at what latency and cost.

Beside a plain sqlite3 baseline, and on real servers beside the original's protocol and others (``bench.servers``).
``make bench`` runs it whole; ``python -m bench --help`` tells the parts.
"""
