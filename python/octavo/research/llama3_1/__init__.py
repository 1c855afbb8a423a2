"""Llama 3.1."""
