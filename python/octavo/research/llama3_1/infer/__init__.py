"""Llama 3.1 as it is run."""
