"""The base of training and of every measure: images, classifiers, threat models, projected gradient descent.

A change in here trains the classifiers anew, so what only one measure needs stands elsewhere. Everything but
params may import this package, which itself imports only errors, files and launch.
"""
