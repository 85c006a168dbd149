"""The loops that use a threat model and a classifier."""
