"""What quantizing shares with the rest: the machine that the result is made for."""
from __future__ import annotations

from enum import Enum

__all__ = ["BackendTarget"]


class BackendTarget(Enum):
    """For which engine :class:`octavo.ptq.PTQ` writes.

    ``ASCEND`` gives Golden Stick's layout (``quantization_description.json``), which MindSpore's engines read; the
    others give compressed-tensors, which vLLM and transformers read. Octavo itself runs both.
    """

    NONE = "none"
    ASCEND = "ascend"
    CPU = "cpu"
    CUDA = "cuda"
