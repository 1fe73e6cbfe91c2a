"""Benchmarks: one module per headline table, and what those modules share."""
