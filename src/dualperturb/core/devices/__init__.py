"""The means of computing: number types, batches that fit into memory, and processes that share the work.

Everything that runs a network may import it; it knows no attack.
"""
