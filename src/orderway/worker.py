"""The worker: a process that carries orders, and nothing else."""
