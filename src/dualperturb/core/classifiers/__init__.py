"""Classifiers: architectures by name, weights from files that are never unpickled, classifiers as folders.

Whatever trains or attacks a classifier may import it.
"""
