"""What the paper measures, a module a measure, each as a pandas table.

Stages, figures and report import it; it imports attacks and core.
"""
