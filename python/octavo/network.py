"""``Network``: a model folder as an object that ``octavo.ptq.PTQ`` quantizes and ``octavo.save_checkpoint`` saves.

Where Golden Stick holds a network of cells in memory, Octavo binds the folder: the C++ core reads it layer by layer,
so a model larger than memory can be quantized. Made by ``AutoModel.from_pretrained``.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy.typing as npt

from octavo.dtype import DType
from octavo.layer_names import LayerName, layer_names
from octavo.model_folder import ModelFolder
from octavo.safetensors_file import TensorEntry, read_tensor

if TYPE_CHECKING:
    from octavo.tokenizer import Tokenizer

__all__ = ["DecoderLayer", "Network", "Parameter", "ParameterDict"]

_MODEL_TYPES = {"Qwen3ForCausalLM": "qwen3", "LlamaForCausalLM": "llama"}


class DecoderLayer:
    """What a class in ``PTQ.decoder_layer_types`` derives from: it stands for the decoder layers of `model_types`.

    Octavo finds the decoder layers by itself; the classes exist so that scripts which name them keep running, and
    are checked against the network.
    """

    model_types: ClassVar[tuple[str, ...]] = ()


class Parameter:
    """One tensor of a folder; its values are read when they are asked for."""

    def __init__(self, name: str, entry: TensorEntry, folder: ModelFolder) -> None:
        self.name = name
        self._entry = entry
        self.folder = folder

    @property
    def dtype(self) -> DType:
        """As stored."""
        return self._entry.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows first: a linear layer's weight is [outputs, inputs]."""
        return self._entry.shape

    @property
    def nbytes(self) -> int:
        """Size in the file."""
        return self._entry.end - self._entry.begin

    def asnumpy(self) -> npt.NDArray[Any]:
        """The values as an array of `shape`; bfloat16 comes as float32, exactly."""
        return read_tensor(self._entry)

    def __repr__(self) -> str:
        return f"Parameter (name={self.name}, shape={self.shape}, dtype={self.dtype})"


ParameterDict = dict[str, Parameter]


class Network:
    """A decoder model bound to its folder.

    Attributes:
        config: ``config.json``.
        layers: every linear layer with both its names, lm_head last.
        tokenizer: the folder's own, opened at first use.
    """

    def __init__(self, source: ModelFolder) -> None:
        self.source = source
        self.quantized: ModelFolder | None = None  # what PTQ.apply made of it
        architectures = self.config.get("architectures") or []
        self.architecture = str(architectures[0]) if architectures else "none"
        if self.architecture not in _MODEL_TYPES:
            raise NotImplementedError(f"{source.path}: architecture {self.architecture!r} is not supported yet; "
                                      f"supported are {', '.join(_MODEL_TYPES)}")
        n_layers = self.config.get("num_hidden_layers")
        if not isinstance(n_layers, int) or n_layers < 1:
            raise ValueError(f"{source.path}/config.json: num_hidden_layers is {n_layers!r}, expected a count")
        self.layers: list[LayerName] = layer_names(n_layers)
        self._tokenizer: Tokenizer | None = None

    @property
    def config(self) -> dict[str, Any]:
        """``config.json`` of the folder that the network was opened from."""
        return self.source.config

    @property
    def model_type(self) -> str:
        """"qwen3" or "llama"."""
        return _MODEL_TYPES[self.architecture]

    @property
    def folder(self) -> ModelFolder:
        """Where its tensors are now: the source, or what ``PTQ.apply`` made of it."""
        return self.quantized or self.source

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the network's own folder."""
        if self._tokenizer is None:
            from octavo.tokenizer import AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(self.source.path)
        return self._tokenizer

    def parameters_dict(self) -> ParameterDict:
        """Every tensor by its Hugging Face name; after ``PTQ.apply`` the quantized ones. Reads headers only."""
        folder = self.folder
        return {name: Parameter(name, entry, folder) for name, entry in folder.tensors.items()}

    def __repr__(self) -> str:
        state = f", quantized from {self.source.path.name!r}" if self.quantized else ""
        n_layers = self.layers[-2].layer + 1
        return f"Network({self.folder.path.name!r}, {self.architecture}, {n_layers} layers{state})"
