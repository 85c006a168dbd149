"""Training a classifier: one loop, to which the adversary is an argument, and what the loop rests on.

The stage `train` imports it, and the health checks, which train nothing but make the same adversaries.
"""
