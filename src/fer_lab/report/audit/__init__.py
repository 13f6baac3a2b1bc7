"""The audit of datasets as tables, figures and a page."""
