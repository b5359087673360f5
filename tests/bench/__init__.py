"""Benchmarks: `python -m tests.bench COMMAND` from the repository's root. Not timed tests."""
