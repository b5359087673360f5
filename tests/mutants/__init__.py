"""Faults put into the program one at a time: `python -m tests.mutants` from the repository."""
