"""The masks of a whole split, from a saliency model, a network or files, and a summary of them.

The stage `masks` imports it. The mask of one batch is `core.score.foreground_mask`.
"""
