"""Post-training quantization with the names of MindSpore Golden Stick: ``PTQ``, ``PTQConfig`` and what they take.

A script written for ``mindspore_gs.ptq`` runs after its import lines begin with ``octavo``, or unchanged through
``python -m octavo.compat SCRIPT.py``.
"""
from octavo.ptq.algo_args import AWQConfig, GPTQQuantConfig, SmoothQuantConfig
from octavo.ptq.config import OutliersSuppressionType, PrecisionRecovery, PTQConfig, PTQMode, QuantGranularity
from octavo.ptq.quantizer import PTQ

__all__ = ["PTQ", "AWQConfig", "GPTQQuantConfig", "OutliersSuppressionType", "PTQConfig", "PTQMode",
           "PrecisionRecovery", "QuantGranularity", "SmoothQuantConfig"]
