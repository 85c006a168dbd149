"""The training of a classifier: one loop, which takes the adversary as an argument, and what the loop needs.

The stage `train` imports it; so do the health checks, which train nothing but make the same adversaries.
"""
