"""Channels that come with Orderway: the wallet over the ledger, and a scripted one for tests and demos."""
