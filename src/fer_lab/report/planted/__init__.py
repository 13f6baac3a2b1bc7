"""Planted shortcuts of a sweep: the table of ranks, what was true, and the claim."""
