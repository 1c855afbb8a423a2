// Post-processors: TemplateProcessing's form for a single text, ByteLevel (which concerns offsets only) and
// Sequences of them. Called by tokenizer.cc.
#include "text/tokenizer/post_processor.h"

#include "base/text_format.h"
#include "text/tokenizer/vocabulary.h"

namespace octavo::text {
namespace {

// The ids that `special_tokens` of a template gives for a name.
Result<std::vector<int32_t>> read_ids(const base::Json* special_tokens, std::string_view name) {
  const base::Json* token = special_tokens ? special_tokens->find(name) : nullptr;
  const base::Json* list = token ? token->find("ids") : nullptr;
  if (!list || !list->is_array()) {
    return corrupt("TemplateProcessing: 'special_tokens' has no ids for " + base::quoted(name));
  }
  std::vector<int32_t> ids;
  for (const base::Json& id : list->as_array()) {
    if (!id.is_int() || id.as_int() < 0 || id.as_int() > kMaxTokenId) {
      return corrupt("TemplateProcessing: " + base::quoted(name) + ": expected a token id, found " +
                     base::quoted(id.dump()));
    }
    ids.push_back(static_cast<int32_t>(id.as_int()));
  }
  return ids;
}

Result<PostProcessor> read_template(const base::Json& object) {
  const base::Json* single = object.find("single");
  if (!single || !single->is_array()) return corrupt("TemplateProcessing: key 'single': expected an array");
  PostProcessor result;
  bool has_text = false;
  for (const base::Json& piece : single->as_array()) {
    if (const base::Json* sequence = piece.find("Sequence")) {
      OCTAVO_ASSIGN_OR_RETURN(const std::string id, base::get_string(*sequence, "id"));
      if (id != "A" || has_text)
        return unsupported("TemplateProcessing: 'single' with more than the sequence A");
      has_text = true;
    } else if (const base::Json* special = piece.find("SpecialToken")) {
      OCTAVO_ASSIGN_OR_RETURN(const std::string name, base::get_string(*special, "id"));
      OCTAVO_ASSIGN_OR_RETURN(const auto ids, read_ids(object.find("special_tokens"), name));
      std::vector<int32_t>& to = has_text ? result.after : result.before;
      to.insert(to.end(), ids.begin(), ids.end());
    } else {
      return corrupt("TemplateProcessing: 'single': expected Sequence or SpecialToken, found " +
                     base::quoted(piece.dump()));
    }
  }
  if (!has_text) return corrupt("TemplateProcessing: 'single' has no place for the text, sequence A");
  return result;
}

Status read(const base::Json& object, PostProcessor& result, bool& has_template) {
  OCTAVO_ASSIGN_OR_RETURN(const std::string type, base::get_string(object, "type"));
  if (type == "ByteLevel") return {};
  if (type == "TemplateProcessing") {
    if (has_template) return unsupported("two TemplateProcessing are not supported");
    has_template = true;
    OCTAVO_ASSIGN_OR_RETURN(result, read_template(object));
    return {};
  }
  if (type == "Sequence") {
    const base::Json* list = object.find("processors");
    if (!list || !list->is_array()) return corrupt("Sequence: key 'processors': expected an array");
    for (const base::Json& element : list->as_array())
      OCTAVO_RETURN_IF_ERROR(read(element, result, has_template));
    return {};
  }
  return unsupported("type " + base::quoted(type) +
                     " is not supported; known are TemplateProcessing, ByteLevel and Sequence");
}

}  // namespace

Result<PostProcessor> PostProcessor::from_json(const base::Json* post_processor) {
  PostProcessor result;
  bool has_template = false;
  if (post_processor && !post_processor->is_null()) {
    if (Status status = read(*post_processor, result, has_template); !status.ok()) {
      return status.with_context("post_processor");
    }
  }
  return result;
}

}  // namespace octavo::text
