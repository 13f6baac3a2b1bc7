"""Image files and drawn faces as arrays: decoding, verification, duplicates, caches."""
