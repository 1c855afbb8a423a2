// The tokenizer: added tokens out of the text, the rest normalized, cut into pieces and merged (tokenizer/
// holds the parts, in this order: added_tokens, normalizer, pre_tokenizer, bpe, post_processor; token_decoder
// goes back). Parity with `tokenizers` is checked by tools/compare_tokenizers.py. Called by api/, data/ and
// eval/.
#include "text/tokenizer.h"

#include <mutex>

#include "base/file.h"
#include "base/log.h"
#include "base/text_format.h"
#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/post_processor.h"
#include "text/tokenizer/pre_tokenizer.h"
#include "text/tokenizer/token_decoder.h"

namespace octavo::text {
namespace {

struct NamedToken {
  std::string text;
  std::optional<int32_t> id;
};

// "bos_token" and its like: null, a string, or an object whose "content" it is.
Result<std::string> read_named_token(const base::Json& config, std::string_view key) {
  const base::Json* value = config.find(key);
  if (value && value->is_object()) value = value->find("content");
  if (!value || value->is_null()) return std::string();
  if (!value->is_string()) {
    return corrupt("tokenizer_config.json: key '" + std::string(key) + "': expected a string, found " +
                   value->type_name());
  }
  return value->as_string();
}

}  // namespace

struct Tokenizer::Parts {
  Bpe bpe;
  Normalizer normalizer;
  AddedTokens added;
  PreTokenizer pre_tokenizer;
  PostProcessor post_processor;
  TokenDecoder decoder;
  NamedToken bos, eos;

  // Scratch memory and word caches of calls that are over, for the next ones: one for each call that ever ran
  // at once.
  std::mutex mutex;
  std::vector<std::unique_ptr<Bpe::Scratch>> idle;

  Parts(Bpe b, Normalizer n, AddedTokens a, PreTokenizer p, PostProcessor o, TokenDecoder d)
      : bpe(std::move(b)),
        normalizer(std::move(n)),
        added(std::move(a)),
        pre_tokenizer(std::move(p)),
        post_processor(std::move(o)),
        decoder(std::move(d)) {}
};

class Tokenizer::ScratchLoan {
 public:
  explicit ScratchLoan(Parts& parts) : parts_(parts) {
    {
      const std::lock_guard lock(parts_.mutex);
      if (!parts_.idle.empty()) {
        scratch_ = std::move(parts_.idle.back());
        parts_.idle.pop_back();
      }
    }
    if (!scratch_) scratch_ = std::make_unique<Bpe::Scratch>();
  }
  ~ScratchLoan() {
    scratch_->trim();
    const std::lock_guard lock(parts_.mutex);
    parts_.idle.push_back(std::move(scratch_));
  }
  ScratchLoan(const ScratchLoan&) = delete;
  ScratchLoan& operator=(const ScratchLoan&) = delete;

  Bpe::Scratch& get() { return *scratch_; }

 private:
  Parts& parts_;
  std::unique_ptr<Bpe::Scratch> scratch_;
};

Tokenizer::Tokenizer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::load(const std::string& path) {
  const bool is_folder = base::is_folder(path);
  const std::string file = is_folder ? base::join_path(path, "tokenizer.json") : path;
  OCTAVO_ASSIGN_OR_RETURN(const base::Json tokenizer, base::read_json_file(file));
  base::Json config;
  const std::string config_file = base::join_path(path, "tokenizer_config.json");
  if (is_folder && base::path_exists(config_file)) {
    OCTAVO_ASSIGN_OR_RETURN(config, base::read_json_file(config_file));
  }
  auto result = from_json(tokenizer, config);
  if (!result.ok()) return result.status().with_context(file);
  return result;
}

Result<Tokenizer> Tokenizer::from_json(const base::Json& tokenizer, const base::Json& config) {
  if (!tokenizer.is_object()) {
    return corrupt(std::string("expected an object, found ") + tokenizer.type_name());
  }
  OCTAVO_ASSIGN_OR_RETURN(const std::string version, base::get_string(tokenizer, "version", "1.0"));
  if (version != "1.0") return unsupported("version " + base::quoted(version) + "; only \"1.0\" is known");
  for (const char* key : {"truncation", "padding"}) {
    const base::Json* value = tokenizer.find(key);
    if (value && !value->is_null())
      base::log_warning(std::string("tokenizer.json: '") + key + "' is not applied");
  }
  const base::Json* model = tokenizer.find("model");
  if (!model) return corrupt("key 'model' is missing");
  OCTAVO_ASSIGN_OR_RETURN(const std::string type, base::get_string(*model, "type", "BPE"));
  if (type != "BPE") return unsupported("model type " + base::quoted(type) + "; only BPE is supported");

  OCTAVO_ASSIGN_OR_RETURN(Bpe bpe, Bpe::from_json(*model));
  OCTAVO_ASSIGN_OR_RETURN(Normalizer normalizer, Normalizer::from_json(tokenizer.find("normalizer")));
  OCTAVO_ASSIGN_OR_RETURN(AddedTokens added, AddedTokens::from_json(tokenizer.find("added_tokens"),
                                                                    bpe.vocabulary(), normalizer));
  OCTAVO_ASSIGN_OR_RETURN(PreTokenizer pre_tokenizer,
                          PreTokenizer::from_json(tokenizer.find("pre_tokenizer")));
  OCTAVO_ASSIGN_OR_RETURN(PostProcessor post, PostProcessor::from_json(tokenizer.find("post_processor")));
  OCTAVO_ASSIGN_OR_RETURN(TokenDecoder decoder, TokenDecoder::from_json(tokenizer.find("decoder")));

  Tokenizer result(std::make_unique<Parts>(std::move(bpe), std::move(normalizer), std::move(added),
                                           std::move(pre_tokenizer), std::move(post), std::move(decoder)));
  for (const auto* ids : {&result.parts_->post_processor.before, &result.parts_->post_processor.after}) {
    for (const int32_t id : *ids) {
      if (!result.id_to_token(id)) {
        return corrupt("post_processor: adds id " + std::to_string(id) + ", which no token has");
      }
    }
  }
  OCTAVO_ASSIGN_OR_RETURN(result.parts_->bos.text, read_named_token(config, "bos_token"));
  OCTAVO_ASSIGN_OR_RETURN(result.parts_->eos.text, read_named_token(config, "eos_token"));
  for (NamedToken* token : {&result.parts_->bos, &result.parts_->eos}) {
    if (!token->text.empty()) token->id = result.token_to_id(token->text);
  }
  return result;
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view utf8, const EncodeOptions& options) const {
  if (utf8.size() > kMaxTextBytes) {
    return resource_exhausted("text of " + base::format_bytes(utf8.size()) + ": at most " +
                              base::format_bytes(kMaxTextBytes) + " are encoded at once");
  }
  if (const size_t n_valid = base::valid_utf8_prefix(utf8); n_valid < utf8.size()) {
    return invalid_argument("text is not valid UTF-8 at byte " + std::to_string(n_valid));
  }
  const Parts& parts = *parts_;
  const std::vector<int32_t>&before = parts.post_processor.before, &after = parts.post_processor.after;
  std::vector<int32_t> ids;
  ids.reserve(utf8.size() / 3 + before.size() + after.size());
  if (options.add_special_tokens) ids = before;

  ScratchLoan scratch(*parts_);
  base::RegexBudget budget = budget_for(utf8);
  const PreTokenizer::Sink tokenize = [&](std::string_view piece, bool as_bytes) {
    return parts.bpe.tokenize(piece, as_bytes, scratch.get(), ids);
  };
  const AddedTokens::Sink sink = {
      .token =
          [&](int32_t id) {
            ids.push_back(id);
            return Status();
          },
      .piece = [&](Piece piece) { return parts.pre_tokenizer.run(piece, budget, tokenize); }};
  const SpecialText special = options.parse_special_tokens ? SpecialText::kParsed : SpecialText::kPlain;
  OCTAVO_RETURN_IF_ERROR(parts.added.cut(utf8, parts.normalizer, special, budget, sink));
  if (options.add_special_tokens) ids.insert(ids.end(), after.begin(), after.end());
  return ids;
}

Result<std::string> Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::string text;
  TokenDecoder::State state = parts_->decoder.start();
  for (const int32_t id : ids) {
    if (id < 0) return invalid_argument("token id " + std::to_string(id) + " is negative");
    if (const auto token = decoder_input(id, skip_special_tokens)) {
      OCTAVO_RETURN_IF_ERROR(parts_->decoder.push(state, *token, text));
    }
  }
  OCTAVO_RETURN_IF_ERROR(parts_->decoder.finish(state, text));
  return text;
}

std::optional<std::string_view> Tokenizer::decoder_input(int32_t id, bool skip_special_tokens) const {
  if (const AddedToken* token = parts_->added.find(id)) {
    if (skip_special_tokens && token->skipped) return std::nullopt;
    return token->form;
  }
  if (!parts_->bpe.vocabulary().has(id)) return std::nullopt;
  return parts_->bpe.vocabulary().token(id);
}

const TokenDecoder& Tokenizer::decoder() const { return parts_->decoder; }

std::optional<std::string> Tokenizer::id_to_token(int32_t id) const {
  if (const AddedToken* token = parts_->added.find(id)) return token->content;
  if (!parts_->bpe.vocabulary().has(id)) return std::nullopt;
  return std::string(parts_->bpe.vocabulary().token(id));
}

std::optional<int32_t> Tokenizer::token_to_id(std::string_view token) const {
  if (const AddedToken* added = parts_->added.find(token)) return added->id;
  const int32_t id = parts_->bpe.vocabulary().find(token);
  return id < 0 ? std::nullopt : std::optional(id);
}

size_t Tokenizer::vocab_size() const {
  size_t n = parts_->bpe.vocabulary().size();
  for (const AddedToken& token : parts_->added.all()) n += !parts_->bpe.vocabulary().has(token.id);
  return n;
}

int32_t Tokenizer::id_limit() const {
  int32_t limit = parts_->bpe.vocabulary().id_limit();
  for (const AddedToken& token : parts_->added.all()) limit = std::max(limit, token.id + 1);
  return limit;
}

bool Tokenizer::is_special(int32_t id) const {
  const AddedToken* token = parts_->added.find(id);
  return token && token->special;
}

std::optional<int32_t> Tokenizer::bos_id() const { return parts_->bos.id; }
std::optional<int32_t> Tokenizer::eos_id() const { return parts_->eos.id; }
const std::string& Tokenizer::bos_token() const { return parts_->bos.text; }
const std::string& Tokenizer::eos_token() const { return parts_->eos.text; }

}  // namespace octavo::text
