"""Sweeps over a budget and over the salience weight: a point by itself, or nested balls attacked together.

The stages `robustness_*` and `saliency` import it.
"""
