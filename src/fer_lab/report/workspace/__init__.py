"""The page of all runs as a W&B workspace: what runs have logged, panels over it, its file."""
