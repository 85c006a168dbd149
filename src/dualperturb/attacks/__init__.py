"""Attacks other than plain PGD, and the adversaries that training attacks with: mostly loops over any ball.

Training and evaluation import this package, which itself imports core.
"""
