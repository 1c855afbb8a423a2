"""The hyperparameters of each algorithm, as Golden Stick names, defaults and checks them (its ``algo_args``).

Types are checked strictly: an ``int`` is no ``float`` here, as there.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from octavo.keywords import suggests_fields

__all__ = ["AWQConfig", "GPTQQuantConfig", "SmoothQuantConfig", "require_type"]


def require_type(name: str, value: object, expected: type) -> None:
    """Raises ``TypeError`` unless `value` is an instance of `expected`."""
    if not isinstance(value, expected):
        raise TypeError(f"Type of {name} should be {expected} but got {type(value)}")


def _require_fractions(owner: str, name: str, value: Any, given: Any) -> None:
    """Each of `value` is in [0, 1]; NaN passes, as in the original."""
    if any(number < 0 or number > 1 for number in value):
        raise ValueError(f"{owner} {name} should >=0 and <=1, but got {given}.")


@suggests_fields
@dataclass
class GPTQQuantConfig:
    """GPTQ (Frantar et al. 2022): columns per block, ordering by activation, damping of the Hessian's diagonal."""

    block_size: int = 128
    desc_act: bool = False
    damp_percent: float = 0.01
    static_groups: bool = False

    def __post_init__(self) -> None:
        require_type("block_size", self.block_size, int)
        require_type("desc_act", self.desc_act, bool)
        require_type("damp_percent", self.damp_percent, float)
        require_type("static_groups", self.static_groups, bool)
        if self.block_size < 0:
            raise ValueError(f"GPTQConfig block_size should >=0, but got {self.block_size}.")
        _require_fractions("GPTQConfig", "damp_percent", [self.damp_percent], self.damp_percent)


@suggests_fields
@dataclass
class SmoothQuantConfig:
    """SmoothQuant (Xiao et al. 2022): the strength `alpha` of equation 4, in [0, 1]."""

    alpha: float = 0.5

    def __post_init__(self) -> None:
        require_type("alpha", self.alpha, float)


@suggests_fields
@dataclass
class AWQConfig:
    """AWQ (Lin et al. 2023): a list is searched, a number is taken as it is."""

    duo_scaling: bool = True
    smooth_alpha: list[float] | float = field(default_factory=lambda: [i / 20 for i in range(20)])
    weight_clip_ratio: list[float] | float = field(default_factory=lambda: [1 - i / 20 for i in range(10)])

    def __post_init__(self) -> None:
        require_type("duo_scaling", self.duo_scaling, bool)
        searched = {"smooth_alpha": self.smooth_alpha, "weight_clip_ratio": self.weight_clip_ratio}
        for name, value in searched.items():
            if not isinstance(value, (float, list)):
                raise TypeError(f"AWQConfig {name} only support float or list, but got {type(value)}")
        for name, value in searched.items():
            _require_fractions("AWQConfig", name, value if isinstance(value, list) else [value], value)
