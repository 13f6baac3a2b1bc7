"""Faces in tar files, read from a folder or a URL while a training goes on."""
