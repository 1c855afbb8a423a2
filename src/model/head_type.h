#pragma once
// What lm_head is held as while a model runs, and the way there: a float head reads two bytes a weight in
// every step, two fifths of a small model's decode.
#include <string_view>
#include <vector>

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

// The head in int8 and the norm before it, together the same function but for rounding: column c of the float
// `weight` is multiplied and norm[c] divided by s[c] = sqrt(|norm[c]| / max_j |w[j,c]|), SmoothQuant's scale
// (arXiv 2211.10438, equation 4, strength 0.5) for inputs of which only the norm's weight is known, so that
// how loudness is divided between the two does not matter. Then each row is coded as kernels::RowOut codes a
// row of activations: code = round_half_even(w / scale), scale = absmax / 127. Every value finite. The same
// bits on every ISA.
LinearWeight code_head(const LinearWeight& weight, std::vector<float>& norm, kernels::Isa isa,
                       base::ThreadPool& pool);

}  // namespace octavo::model
