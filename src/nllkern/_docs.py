"""Docstrings of the loss objects."""


def docstring(name):
    return name
