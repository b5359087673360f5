"""Benchmarks: `python -m tests.bench` from the repository's root. Not timed tests."""
