"""Faces in pictures: which pixels belong to which region."""
