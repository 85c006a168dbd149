"""Health checks: is the attack as strong as it claims, and does the classifier keep what training logged?

The stage `health` imports it (Carlini et al. 2019; AutoAttack's flags).
"""
