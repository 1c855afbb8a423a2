#pragma once
// What the batching engine accepts: its options, and a request for a model.
#include <memory>

#include "octavo/status.h"

#include "engine/batch_engine.h"
#include "engine/sequence.h"
#include "engine/step_model.h"

namespace octavo::engine {

Status check_options(const BatchOptions& options);
Status check_request(const GenerationRequest& request, const StepModel& model);
// Makes the model's pages, and says how many: for at least one sequence of the whole context, by default 4
// GiB or half of what is available, never more than every sequence of the largest batch can use.
Result<int64_t> make_pages(StepModel& model, const BatchOptions& options);
// The request's first output, with its siblings. `request` was checked.
std::unique_ptr<Sequence> make_sequence(GenerationRequest request, const StepModel& model);

}  // namespace octavo::engine
