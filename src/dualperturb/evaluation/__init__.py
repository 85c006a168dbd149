"""The paper's measures, one module each, with their results as pandas tables.

Stages, figures and report import it; it imports attacks and core.
"""
