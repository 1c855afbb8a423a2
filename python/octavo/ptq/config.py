"""``PTQConfig``: how a network, or the layers that a policy names, shall be quantized.

Fields, defaults, order of checks and messages are those of mindspore_gs 1.4.1 (the test runs through 83,280 recorded
combinations). It says what may be *asked*; what Octavo can carry out is decided in ``ptq/policy.py``.
"""
from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from enum import Enum
from typing import Any

from octavo import dtype as msdtype
from octavo.common import BackendTarget
from octavo.dtype import DType
from octavo.keywords import suggests_fields
from octavo.ptq.algo_args import GPTQQuantConfig, require_type

__all__ = ["OutliersSuppressionType", "PTQConfig", "PTQMode", "PrecisionRecovery", "QuantGranularity"]


class PTQMode(Enum):
    """QUANTIZE: calibrate and quantize. DEPLOY: Golden Stick's way to open what was quantized; here `LLM` does."""

    QUANTIZE = "quantize"
    DEPLOY = "deploy"


class OutliersSuppressionType(Enum):
    """How outlier channels of the activations are made smaller before rounding."""

    SMOOTH = "smooth"
    AWQ = "awq"
    OUTLIER_SUPPRESSION_PLUS = "outlier-suppression+"
    OUTLIER_SUPPRESSION_LITE = "outlier-suppression-lite"
    NONE = "none"

    @classmethod
    def from_str(cls, name: str) -> OutliersSuppressionType:
        """The member of that value in any case; NONE for an unknown name, as in the original."""
        return next((member for member in cls if member.value == name.lower()), cls.NONE)


class PrecisionRecovery(Enum):
    """How the error of rounding is compensated in the weights not yet rounded."""

    GPTQ = "gptq"
    NONE = "none"

    @classmethod
    def from_str(cls, name: str) -> PrecisionRecovery:
        """The member of that value in any case; NONE for an unknown name, as in the original."""
        return next((member for member in cls if member.value == name.lower()), cls.NONE)


class QuantGranularity(Enum):
    """What shares one scale. Of activations, PER_TENSOR is static and PER_TOKEN is dynamic."""

    PER_TENSOR = "per_tensor"
    PER_CHANNEL = "per_channel"
    PER_TOKEN = "per_token"
    PER_GROUP = "per_group"

    def __str__(self) -> str:
        return self.value

    @classmethod
    def from_str(cls, name: str) -> QuantGranularity | None:
        """The member of that value in any case; None for an unknown name, as in the original."""
        return next((member for member in cls if member.value == name.lower()), None)


_WEIGHT_DTYPES = [msdtype.int8, msdtype.qint4x2, None]
_INT8_OR_NONE = [msdtype.int8, None]
_WEIGHT_GRANULARITIES = [QuantGranularity.PER_CHANNEL, QuantGranularity.PER_GROUP]
_ACT_GRANULARITIES = [QuantGranularity.PER_TENSOR, QuantGranularity.PER_TOKEN]
_KVCACHE_GRANULARITIES = [QuantGranularity.PER_CHANNEL, QuantGranularity.PER_TOKEN]
_GROUP_SIZES = [64, 128, 256]


def _require_one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        hint = f" It is a str, not a {type(allowed[0]).__name__}." if isinstance(value, str) else ""
        raise ValueError(f"{name} support {allowed}, but got {value}.{hint}")


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=6)  # the line that built the PTQConfig


@suggests_fields
@dataclass
class PTQConfig:
    """A quantization, for a whole network or, in ``layer_policies``, for some of its layers.

    ``None`` as a dtype means "as it is". `algo_args` is a config of ``octavo.ptq`` or a dict, and becomes a dict.
    `opname_blacklist`: layers with one of these texts in their name stay float.

    Raises:
        ValueError: a value outside its set, or a combination that the original refuses.
        TypeError: a value of the wrong type, or an unknown keyword (the nearest one is named).
    """

    mode: PTQMode = PTQMode.QUANTIZE
    backend: BackendTarget = BackendTarget.ASCEND
    opname_blacklist: list[str] | tuple[str, ...] = field(default_factory=list)
    algo_args: Any = field(default_factory=dict)
    weight_quant_dtype: DType | None = msdtype.int8
    kvcache_quant_dtype: DType | None = None
    act_quant_dtype: DType | None = None
    precision_recovery: PrecisionRecovery = PrecisionRecovery.NONE
    outliers_suppression: OutliersSuppressionType = OutliersSuppressionType.NONE
    weight_quant_granularity: QuantGranularity = QuantGranularity.PER_CHANNEL
    kvcache_quant_granularity: QuantGranularity = QuantGranularity.PER_CHANNEL
    act_quant_granularity: QuantGranularity = QuantGranularity.PER_TENSOR
    group_size: int = 0
    weight_clip: bool = False

    def __post_init__(self) -> None:
        self._check_values()
        self._check_granularities()
        self._check_group_size()
        self._check_precision_recovery()
        if not isinstance(self.algo_args, dict) and not is_dataclass(self.algo_args):
            raise ValueError(f"algo_args's type should be dict or dataclass, but now is {type(self.algo_args)}")
        if isinstance(self.algo_args, type):
            raise TypeError(f"algo_args is the class {self.algo_args.__name__}; give an object of it, "
                            f"{self.algo_args.__name__}(...)")
        if is_dataclass(self.algo_args):
            self.algo_args = asdict(self.algo_args)

    def _check_values(self) -> None:
        if self.mode not in PTQMode.__members__.values():
            raise ValueError(f"mode shall be in {PTQMode.__members__.values()}")
        if self.backend not in BackendTarget.__members__.values():
            raise ValueError(f"backend shall be in {BackendTarget.__members__.values()}")
        _require_one_of("weight_quant_dtype", self.weight_quant_dtype, _WEIGHT_DTYPES)
        _require_one_of("kvcache_quant_dtype", self.kvcache_quant_dtype, _INT8_OR_NONE)
        _require_one_of("act_quant_dtype", self.act_quant_dtype, _INT8_OR_NONE)
        if not isinstance(self.opname_blacklist, (list, tuple)):
            raise TypeError(f"Type of opname_blacklist should be a list but got {type(self.opname_blacklist)}")
        if any(not isinstance(entry, str) for entry in self.opname_blacklist):
            raise TypeError(f"Type of item of opname_blacklist should be one of {str} "
                            f"but got {[type(entry) for entry in self.opname_blacklist]}")
        require_type("outliers_suppression", self.outliers_suppression, OutliersSuppressionType)
        require_type("group_size", self.group_size, int)
        require_type("weight_clip", self.weight_clip, bool)

    def _check_granularities(self) -> None:
        _require_one_of("act_quant_granularity", self.act_quant_granularity, _ACT_GRANULARITIES)
        _require_one_of("weight_quant_granularity", self.weight_quant_granularity, _WEIGHT_GRANULARITIES)
        _require_one_of("kvcache_quant_granularity", self.kvcache_quant_granularity, _KVCACHE_GRANULARITIES)
        quantizes_both = self.weight_quant_dtype is not None and self.act_quant_dtype is not None
        if self.act_quant_granularity is QuantGranularity.PER_TOKEN and not quantizes_both:
            raise ValueError("when act_quant_granularity is QuantGranularity.PER_TOKEN, weight_quant_dtype: "
                             f"{self.weight_quant_dtype} must be mindspore.dtype.int8 or mindspore.dtype.int4, "
                             f"and act_quant_dtype: {self.act_quant_dtype} must be mindspore.dtype.int8.")
        if self.is_w8a8 and self.weight_quant_granularity is not QuantGranularity.PER_CHANNEL:
            raise ValueError("when weight_quant_dtype is int8 and act_quant_dtype is int8, the "
                             "weight_quant_granularity must be QuantGranularity.PER_CHANNEL, "
                             f"but got {self.weight_quant_granularity}.")
        if self.kvcache_quant_granularity is QuantGranularity.PER_TOKEN:
            if self.kvcache_quant_dtype is None:
                raise ValueError("when kvcache_quant_granularity is QuantGranularity.PER_TOKEN, "
                                 "kvcache_quant_dtype must be mindspore.dtype.int8.")
            if self.mode is PTQMode.QUANTIZE:
                _warn("kvcache_quant_granularity is QuantGranularity.PER_TOKEN, not need quantize for kvcache.")

    def _check_group_size(self) -> None:
        if self.weight_quant_granularity is not QuantGranularity.PER_GROUP:
            if self.group_size != 0:
                raise ValueError("group_size should equal to 0 when not to do pre_group quantize.")
        elif self.group_size not in _GROUP_SIZES:
            raise ValueError(f"group_size should be in {_GROUP_SIZES} when doing pre_group quantize.")

    def _check_precision_recovery(self) -> None:
        uses_gptq = self.precision_recovery is PrecisionRecovery.GPTQ
        if uses_gptq and self.algo_args == {}:
            self.algo_args = GPTQQuantConfig()
            _warn("GPTQQuantConfig is not configured, it will apply the default parameters.")
        if not uses_gptq and isinstance(self.algo_args, GPTQQuantConfig):
            _warn(f"GPTQQuantConfig is configured, but the precision recovery is {self.precision_recovery}.")
        if self.weight_quant_dtype == msdtype.qint4x2 and self.act_quant_dtype == msdtype.int8:
            self._check_a8w4(uses_gptq)
        require_type("precision_recovery", self.precision_recovery, PrecisionRecovery)

    def _check_a8w4(self, uses_gptq: bool) -> None:
        if not uses_gptq:
            raise ValueError("A8W4 quantization only support GPTQ precision_recovery.")
        if not isinstance(self.algo_args, GPTQQuantConfig):
            raise ValueError(f"A8W4 quantization need algo_args is GPTQQuantConfig, but got {self.algo_args}")
        if not self.algo_args.desc_act or not self.algo_args.static_groups:
            raise ValueError("A8W4 quantization only support desc_act=True and static_groups=True "
                             "with GPTQ precision_recovery.")
        if self.act_quant_granularity is not QuantGranularity.PER_TOKEN:
            raise ValueError("A8W4 quantization only support act_quant_granularity is per_token and "
                             "and weight_quant_granularity is per_channel or per_group.")

    @property
    def is_w8a8(self) -> bool:
        """Weights and activations are int8."""
        return self.weight_quant_dtype == msdtype.int8 and self.act_quant_dtype == msdtype.int8

    def check_algorithm(self) -> None:
        """What :class:`octavo.ptq.PTQ` refuses of a config that is valid in itself.

        Raises:
            ValueError: algorithms that do not go together.
        """
        if self.weight_quant_dtype is None and self.act_quant_dtype is not None:
            raise ValueError("PTQ algorithm do not support only quant activation.")
        weight_only = (self.outliers_suppression is OutliersSuppressionType.AWQ
                       or self.precision_recovery is PrecisionRecovery.GPTQ)
        if self.is_w8a8 and weight_only:
            raise ValueError("AWQ algorithm and GPTQ algorithm do not support quant activation.")
        if (self.outliers_suppression is OutliersSuppressionType.OUTLIER_SUPPRESSION_LITE
                and not (self.is_w8a8 and self.kvcache_quant_dtype is None)):
            raise ValueError("OUTLIER_SUPPRESSION_LITE algorithm only support W8A8 quant.")
        if self.weight_quant_dtype == msdtype.qint4x2 and self.kvcache_quant_dtype is not None:
            raise ValueError("PTQ algorithm only support quant weight in int4 alone."
                             "Please not to use with c8 at the same time.")
