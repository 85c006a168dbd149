"""Measurements, one script a question; `python -m benchmarks.bench` runs those of the CPU in turn."""
