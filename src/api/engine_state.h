#pragma once
// What an Engine holds: a model folder's tokenizer, chat template and sampling defaults, its weights, and the
// engine that runs requests on them.
#include <memory>
#include <string>
#include <vector>

#include "octavo/engine.h"

#include "engine/batch_engine.h"
#include "engine/loaded_model.h"
#include "engine/step_model.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace octavo {

struct Engine::State {
  std::unique_ptr<engine::LoadedModel> loaded;  // none: an echo
  // Scoring token ids needs no tokenizer, and only chats need a template: what is missing is told when it is
  // asked for.
  Result<text::Tokenizer> tokenizer = not_found("");
  Result<text::ChatTemplate> chat_template = not_found("");
  SamplingParams defaults;
  std::vector<int32_t> eos_ids;
  ModelInfo info;
  std::unique_ptr<engine::StepModel> steps;
  std::unique_ptr<engine::BatchEngine> batch;  // its thread ends before what it runs on goes

  Status read_text(const std::string& model_folder, const EngineOptions& options);
  Status load(const std::string& model_folder, const EngineOptions& options, Progress* progress);
  Status make_echo(const EngineOptions& options);
  Result<engine::GenerationRequest> translate(const Request& request) const;
};

}  // namespace octavo
