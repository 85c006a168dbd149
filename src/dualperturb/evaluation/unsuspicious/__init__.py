"""The measure of unsuspicious examples: those that fool and keep a foreground score, under several models.

The stage `unsuspicious` imports it.
"""
