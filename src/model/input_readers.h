#pragma once
// Which linears read one input, named by the place where it is tapped. It is rounded to codes once for all of
// them, so they share its scale and zero point, and the factors by which smoothing divides it. For
// model/weights.cc and quant/.
#include <span>

#include "model/tap.h"
#include "model/weights.h"

namespace octavo::model {

inline std::span<const LinearSlot> readers_of(TapSite site) {
  static constexpr LinearSlot kAttention[] = {LinearSlot::kQ, LinearSlot::kK, LinearSlot::kV};
  static constexpr LinearSlot kOutput[] = {LinearSlot::kO};
  static constexpr LinearSlot kMlp[] = {LinearSlot::kGate, LinearSlot::kUp};
  static constexpr LinearSlot kDown[] = {LinearSlot::kDown};
  switch (site) {
    case TapSite::kAttentionInput:
      return kAttention;
    case TapSite::kOutputInput:
      return kOutput;
    case TapSite::kMlpInput:
      return kMlp;
    case TapSite::kDownInput:
      break;
  }
  return kDown;
}

}  // namespace octavo::model
