"""What training and every measure rest on: images, classifiers, threat models, projected gradient descent.

A change in here trains the classifiers anew; what only one measure needs stands elsewhere.
"""
