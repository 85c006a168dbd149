"""The parts that all measures share: the classifier and images measured, and scoring an attack anew.

The measures import it; it never relies on what an attack says of itself.
"""
