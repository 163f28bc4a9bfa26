"""The SQL adapters: store, workers, ledger and sequence over one database, with group commit in front of its writer."""
