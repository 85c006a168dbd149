"""Measurements: one script a question, each with a table; `python -m benchmarks.bench` runs those of the CPU."""
