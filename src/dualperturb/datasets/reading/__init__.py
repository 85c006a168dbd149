"""The reading of image files: which files in a folder are photographs and masks, and the pixels of each.

Readers of data sets, the folder `masks`, stages and the commands that handle data import it.
"""
