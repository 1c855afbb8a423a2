"""``AutoModel.from_pretrained``: a local model folder as a :class:`octavo.network.Network`."""
from __future__ import annotations

import os

from octavo.keywords import suggests_keywords
from octavo.model_folder import ModelFolder, find_model_folder
from octavo.network import Network

__all__ = ["AutoModel"]


class AutoModel:
    """Opens models; has no objects of its own."""

    @staticmethod
    @suggests_keywords
    def from_pretrained(pretrained_model_name_or_dir: str | os.PathLike[str]) -> Network:
        """The model in a local folder in Hugging Face layout; relative names count from the working directory.

        Reads ``config.json`` only; weights are read when they are needed.

        Raises:
            FileNotFoundError: no such folder (a hub's name, too), or no ``config.json`` in it.
            NotImplementedError: an architecture that Octavo does not have.
        """
        return Network(ModelFolder(find_model_folder(pretrained_model_name_or_dir, "AutoModel.from_pretrained")))
