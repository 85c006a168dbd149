"""The stages, one thin script each, which reads params and deps, calls the library and writes outs.

The library imports none of them.
"""
