"""Merged heatmaps of several runs side by side, as files, figures and a page."""
