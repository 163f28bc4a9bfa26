"""The benchmark against others: Orderway, the original's protocol, DBOS and procrastinate, on real database servers.

``python -m bench --only servers --only rows --only idle`` runs it.
"""
