"""The pure core: orders, facts, money, ids, the journal. Standard library only; no await, clock, randomness or I/O."""
