"""Each action: check (guards), do or refuse, ledger. Reachable from nowhere else."""
