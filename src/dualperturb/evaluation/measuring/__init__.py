"""What every measure shares: the classifier and images that are measured, and scoring an attack anew.

The measures import it; it takes no attack's own word for anything.
"""
