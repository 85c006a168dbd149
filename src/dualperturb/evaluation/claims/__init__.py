"""The paper's claims against this run's outcomes, image by image: a table of numbers, intervals and verdicts.

The stage `tables` imports it; the report shows the table.
"""
