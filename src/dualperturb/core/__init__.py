"""What training and every measure rest on: images, classifiers, threat models, projected gradient descent.

A change in here trains the classifiers anew; what only one measure needs stands elsewhere. Everything but
params may import it; it imports only errors, files and launch.
"""
