"""All runs on one page: what their folders say, what may be compared, the page itself."""
