"""``PTQ``: the calls of Golden Stick's quantizer, carried out by the C++ core.

    ptq = PTQ(config, layer_policies)
    ptq.apply(network, dataset)     # policy.py > recipe.py > octavo._native.quantize, into a temporary folder
    ptq.convert(network)
    octavo.save_checkpoint(network.parameters_dict(), "Qwen3-8B-A8W8")
"""
from __future__ import annotations

import copy
import functools
import json
import os
import re
import warnings
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from octavo.common import BackendTarget
from octavo.datasets.calibration import Calibration, calibration_of
from octavo.datasets.dataset import Dataset
from octavo.keywords import did_you_mean, suggests_keywords
from octavo.model_folder import ModelFolder, TemporaryFolder
from octavo.network import DecoderLayer, Network
from octavo.ptq.config import PTQConfig, PTQMode
from octavo.ptq.policy import LayerPlan, resolve
from octavo.ptq.recipe import needs_calibration, recipe_text
from octavo.ptq.summary import summary_text

__all__ = ["PTQ"]

_FRAMEWORKS = ("mindformers", "mindone")


def _warn_once(said: set[str], message: str) -> None:
    if message not in said:
        said.add(message)
        warnings.warn(message, UserWarning, stacklevel=6)  # the line that called apply or summary


class _ProgressBar:
    """The core's progress as a tqdm bar: ``what`` is the step under way, "layer 3/36 smooth"."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None  # nothing is drawn before the first step

    def __call__(self, what: str, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = tqdm(total=total, desc="Running PTQ",
                             bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]")
        self._bar.total = total
        self._bar.n = done
        self._bar.set_postfix_str(what, refresh=False)
        self._bar.refresh()

    def close(self, finished: bool) -> None:
        """Leaves the bar as the last line, full when all is done."""
        if self._bar is None:
            return
        if finished:
            self._bar.set_postfix_str("", refresh=False)
            self._bar.update(self._bar.total - self._bar.n)
        self._bar.close()


class PTQ:
    """Post-training quantization of a network, as `config` says; layers that a key of `layer_policies` matches, as
    that policy says.

    Args:
        config: default ``PTQConfig()``.
        layer_policies: regular expressions over layer names (``re.match``), each with its ``PTQConfig``. Names may be
            Hugging Face's or MindFormers', with or without ``network.`` before them.

    Attributes:
        decoder_layer_types: classes of decoder layers that the script names; ``apply`` checks that each fits.

    Raises:
        TypeError: a config, key or value of the wrong type, or a key that is no regular expression.
        ValueError: a config whose algorithms do not go together, or a policy that is None.
    """

    @suggests_keywords
    def __init__(self, config: PTQConfig | None = None,
                 layer_policies: OrderedDict[str, PTQConfig] | None = None) -> None:
        if config is not None and not isinstance(config, PTQConfig):
            raise TypeError(f"Shall init PTQ with PTQConfig, but got {type(config)}")
        self._config = PTQConfig() if config is None else copy.copy(config)
        self._config.check_algorithm()
        self.layer_policies = self._checked_policies(OrderedDict() if layer_policies is None else layer_policies)
        self.decoder_layer_types: list[type] = []
        self._plans: weakref.WeakKeyDictionary[Network, list[LayerPlan]] = weakref.WeakKeyDictionary()
        self._said: weakref.WeakKeyDictionary[Network, set[str]] = weakref.WeakKeyDictionary()  # summary, then apply

    def _checked_policies(self, policies: OrderedDict[str, PTQConfig]) -> OrderedDict[str, PTQConfig]:
        if not isinstance(policies, OrderedDict):
            raise TypeError(f"layer_policies should be an OrderedDict, but got {type(policies)}.")
        checked: OrderedDict[str, PTQConfig] = OrderedDict()
        for pattern, policy in policies.items():
            if not isinstance(pattern, str):
                raise TypeError("all key of layer_policies should be a string.")
            try:
                re.compile(pattern)
            except re.error as error:
                raise TypeError(f"layer_policies: {pattern!r} is not a regular expression: {error}") from error
            if policy is None:
                raise ValueError(f"layer_policies: the policy of {pattern!r} is None; to leave layers float, use "
                                 "PTQConfig(weight_quant_dtype=None) or opname_blacklist")
            if not isinstance(policy, PTQConfig):
                raise TypeError(f"The type of value in layer_policies should be PTQConfig, but got {type(policy)}")
            checked[pattern] = self._with_network_wide_fields(pattern, policy)
            checked[pattern].check_algorithm()
        return checked

    def _with_network_wide_fields(self, pattern: str, policy: PTQConfig) -> PTQConfig:
        policy = copy.copy(policy)
        for field in ("mode", "backend"):
            ours, theirs = getattr(self._config, field), getattr(policy, field)
            if ours != theirs:
                warnings.warn(f"The {field}={theirs} in {pattern} layer policy different from {field}={ours} in network "
                              f"policy, PTQ algorithm use network policy {field} to quant.", UserWarning, stacklevel=5)
                setattr(policy, field, ours)
        return policy

    @suggests_keywords
    def apply(self, network: Network, network_helper: Any = None, datasets: Dataset | None = None,
              framework: str = "mindformers") -> Network:
        """Quantizes `network` and returns it; its parameters are the quantized ones from then on.

        Args:
            network: from ``AutoModel.from_pretrained``.
            network_helper: the data set, as in ``apply(network, dataset)``; an object that helps Golden Stick to run
                MindFormers networks may stand here too and is not needed.
            datasets: what to calibrate on, a ``GeneratorDataset`` or one from ``get_datasets``. Only a quantization
                that needs no activation ranges (per token, no smoothing) does without.
            framework: "mindformers" or "mindone"; makes no difference.

        The result lies in a hidden folder beside the working directory's files, which goes with the network, at the
        end of the program, on failure and on Ctrl-C.

        Raises:
            ValueError: no data set, layers that contradict each other, a decoder layer type that fits no layer, a
                network that is quantized already.
            NotImplementedError: what Octavo does not have yet; nothing is replaced by something else.
            RuntimeError: two policies match one layer.
        """
        if framework not in _FRAMEWORKS:
            raise ValueError(f"Invalid framework: {framework}. Please use 'mindone' or 'mindformers'."
                             + did_you_mean(str(framework), _FRAMEWORKS))
        if datasets is None:
            datasets = network_helper
        elif isinstance(network_helper, Dataset):
            raise TypeError("PTQ.apply got two data sets, as network_helper and as datasets; give one")
        self._check_network(network)
        warn = functools.partial(_warn_once, self._said.setdefault(network, set()))
        plans = resolve(network.layers, self._config, self.layer_policies, warn)
        if datasets is None and needs_calibration(plans):
            raise ValueError("please provide dataset when use PTQ quant to quantize network: "
                             "ptq.apply(network, dataset)")
        calibration = Calibration() if datasets is None else calibration_of(datasets, network)
        network.quantized = self._quantize(network, recipe_text(plans, "ptq"), calibration)
        self._plans[network] = plans
        return network

    def _check_network(self, network: Network) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"PTQ: network is {type(network)}, expected one from octavo.AutoModel.from_pretrained")
        if self._config.mode is PTQMode.DEPLOY:
            raise NotImplementedError("PTQMode.DEPLOY is not needed in Octavo: open a quantized folder with "
                                      "octavo.LLM(model=...); to quantize, use PTQMode.QUANTIZE")
        if network.quantized is not None or network.source.quantization:
            how = "by PTQ.apply" if network.quantized is not None else f"({network.source.quantization})"
            raise ValueError(f"PTQ.apply: {network.source.path} is quantized already {how}; open the float model again "
                             "with AutoModel.from_pretrained")
        for cls in self.decoder_layer_types:
            if not (isinstance(cls, type) and issubclass(cls, DecoderLayer)):
                raise TypeError(f"decoder_layer_types: {cls!r} is no decoder layer class of octavo.research")
            if network.model_type not in cls.model_types:
                raise ValueError(f"decoder_layer_types: {cls.__name__} matches no layer of this network, "
                                 f"{network.architecture}; it stands for {', '.join(cls.model_types)} models")

    def _quantize(self, network: Network, recipe: str, calibration: Calibration) -> ModelFolder:
        from octavo import _native

        folder = TemporaryFolder(Path.cwd())
        target = folder.path / "model"
        bar = _ProgressBar()
        samples: dict[str, Any] = {}
        if calibration.n_samples:
            samples = {"calibration": calibration.source, "token_samples": calibration.token_samples,
                       "n_samples": calibration.n_samples, "length_tokens": calibration.length_tokens}
        try:
            _native.quantize(os.fspath(network.source.path), os.fspath(target), recipe_text=recipe, progress=bar,
                             format="golden-stick" if self._config.backend is BackendTarget.ASCEND
                             else "compressed-tensors", **samples)
        except BaseException:
            bar.close(finished=False)
            folder.remove()
            raise
        bar.close(finished=True)
        return ModelFolder(target, folder)

    @suggests_keywords
    def convert(self, net_opt: Network, ckpt_path: str = "") -> Network:
        """Prints the summary and returns `net_opt`: ``apply`` has done the work.

        Raises:
            ValueError: `net_opt` was not quantized by this object.
            NotImplementedError: a `ckpt_path`; ``octavo.LLM`` opens what was saved.
        """
        if not isinstance(net_opt, Network):
            raise TypeError(f"The parameter `net_opt` must be isinstance of Network, but got {type(net_opt)}.")
        if not isinstance(ckpt_path, str):
            raise TypeError(f"The parameter `ckpt_path` must be isinstance of str, but got {type(ckpt_path)}.")
        if ckpt_path:
            raise NotImplementedError(f"PTQ.convert: ckpt_path={ckpt_path!r} is not supported; open a quantized folder "
                                      "with octavo.LLM(model=...)")
        if net_opt not in self._plans:
            raise ValueError("PTQ.convert: call apply(network, dataset) first")
        self.summary(net_opt)
        return net_opt

    @suggests_keywords
    def summary(self, network: Network) -> str:
        """Prints and returns a table of what each linear layer is, or before ``apply`` would be."""
        plans = self._plans.get(network)
        if plans is None:
            self._check_network(network)
            warn = functools.partial(_warn_once, self._said.setdefault(network, set()))
            plans = resolve(network.layers, self._config, self.layer_policies, warn)
        text = summary_text(network.source.path.name, plans)
        print(text)
        return text

    def __repr__(self) -> str:
        policies = json.dumps(list(self.layer_policies))
        return f"PTQ(config={self._config!r}, layer_policies of {policies})"
