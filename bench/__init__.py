"""The benchmark: how many complete orders a second, at what latency and cost, beside a plain sqlite3 baseline.

``make bench`` runs it whole; ``python -m bench --help`` tells the parts.
"""
