"""What databases reached over a network have in common: their connections, writer, readers and transactions."""
