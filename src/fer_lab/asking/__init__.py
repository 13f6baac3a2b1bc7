"""Asking a vision-language model: what is sent, what it costs, what has been answered."""
