"""Files to pixels: which files in a folder are photographs and masks, and what each says.

Readers of data sets, masks of one's own and the commands that link photographs import it.
"""
