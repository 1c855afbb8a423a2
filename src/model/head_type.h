#pragma once
// What lm_head is held as while a model runs, and the way there: a float head reads two bytes a weight in
// every step, two fifths of a small model's decode.
#include <string_view>

#include "octavo/status.h"

#include "base/threads.h"
#include "kernels/isa.h"
#include "model/weights.h"

namespace octavo::model {

// As the checkpoint has it; or int8 codes with a scale per vocabulary entry, on int8 inputs with a scale per
// row.
enum class HeadType { kAuto, kInt8 };
// "auto" or "int8", as the option lm_head_dtype spells them.
Result<HeadType> head_type_from_name(std::string_view name);

// A float weight, each row as kernels::RowOut codes a row of activations: code = round_half_even(w / scale),
// scale = absmax / 127. Every value finite. The same bits on every ISA.
LinearWeight coded_rows(const LinearWeight& weight, kernels::Isa isa, base::ThreadPool& pool);

}  // namespace octavo::model
