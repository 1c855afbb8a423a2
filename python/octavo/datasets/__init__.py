"""Calibration data: ``GeneratorDataset`` for one's own samples or a C-Eval folder, ``get_datasets`` for loaders.

The names are MindSpore's and Golden Stick's; rows come as numpy arrays.
"""
from octavo.datasets.factory import get_datasets
from octavo.datasets.generator import GeneratorDataset

__all__ = ["GeneratorDataset", "get_datasets"]
