"""Sweeps over a budget or the salience weight: each point by itself, or nested balls attacked together.

The stages `robustness_*` and `saliency` import it.
"""
