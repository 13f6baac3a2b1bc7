"""Runs side by side as tables for the terminal and for papers."""
