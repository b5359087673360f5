"""Train, check and explain handwritten-digit classifiers from one command line."""

__version__ = "0.1.0"
