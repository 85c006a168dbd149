"""Attacks beside plain PGD, and the adversaries that training attacks with: loops over any ball.

Training and evaluation import it; it imports core.
"""
