"""What computes: the number type, batches that fit into memory, and several processes that share the work.

Everything that runs a network may import it; it knows no attack.
"""
