"""Which rows a run learns from, watches and is tested on: draws, folds, filters, targets."""
