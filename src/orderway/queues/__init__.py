"""Queues: messages that have an order looked at sooner. Each adapter is imported when it is asked for."""
