"""Stands where MindFormers keeps its ``research`` models: the decoder layer classes that scripts import from there."""
