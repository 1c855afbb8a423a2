// Continues a prompt, word by word:  generate MODEL PROMPT
#include <cstdio>
#include <optional>

#include "octavo/octavo.h"

namespace {

octavo::Status run(const char* model, const char* prompt) {
  OCTAVO_ASSIGN_OR_RETURN(octavo::Engine engine, octavo::Engine::open(model));
  octavo::Request request;
  request.prompt = prompt;
  request.sampling.temperature = 0.0F;
  request.sampling.max_tokens = 32;
  OCTAVO_ASSIGN_OR_RETURN(octavo::Stream stream, engine.submit(request));
  for (;;) {
    OCTAVO_ASSIGN_OR_RETURN(const std::optional<octavo::Delta> delta, stream.next());
    if (!delta) break;
    std::fputs(delta->text.c_str(), stdout);
    std::fflush(stdout);
  }
  std::puts("");
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: generate MODEL PROMPT\n", stderr), 2;
  const octavo::Status status = run(argv[1], argv[2]);
  if (!status.ok()) return std::fprintf(stderr, "%s\n", status.message().c_str()), 1;
}
