// The border of the template language: JSON variables in, text or a Status out. Here jinja::Error ends and
// everything that transformers does around Jinja happens: default variables, special tokens, names of a
// message's reasoning, the choice among several templates. Called by the facade for chats, by data/ for
// calibration samples.
#include "text/chat_template.h"

#include <algorithm>
#include <new>
#include <stdexcept>

#include "base/file.h"
#include "base/text_format.h"
#include "text/jinja/error.h"
#include "text/jinja/from_json.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

namespace octavo::text {
namespace {

constexpr std::string_view kSpecialTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                               "pad_token", "cls_token", "mask_token"};
constexpr uint64_t kMaxTemplateBytes = uint64_t{4} << 20;  // the largest known template has 17 kB

Status to_status(const jinja::Error& error) {
  const std::string where =
      error.line > 0 ? "chat template line " + std::to_string(error.line) : "chat template";
  return {error.code, where + ": " + error.message};
}

// The message with its reasoning under "thinking" (first, an existing value of that name stays) and
// "reasoning_content", whichever of the three known names it came under.
base::Json alias_reasoning(const base::Json& message) {
  const base::Json* reasoning = nullptr;
  for (const std::string_view name : {"reasoning_content", "thinking", "reasoning"}) {
    const base::Json* found = message.find(name);
    if (reasoning == nullptr && found != nullptr && !found->is_null()) reasoning = found;
  }
  if (reasoning == nullptr) return message;
  base::JsonObject aliased;
  const base::Json* thinking = message.find("thinking");
  aliased.emplace_back("thinking", thinking == nullptr ? *reasoning : *thinking);
  for (const auto& [name, value] : message.as_object()) {
    if (name != "thinking") aliased.emplace_back(name, value);
  }
  base::Json result(std::move(aliased));
  result.set("reasoning_content", *reasoning);
  return result;
}

Result<base::Json> prepare_messages(const base::Json& messages) {
  if (!messages.is_array()) {
    return invalid_argument(std::string("'messages' must be an array of objects, found ") +
                            messages.type_name());
  }
  base::JsonArray prepared;
  for (const base::Json& message : messages.as_array()) {
    if (!message.is_object()) {
      return invalid_argument("messages[" + std::to_string(prepared.size()) + "] must be an object, found " +
                              message.type_name());
    }
    prepared.push_back(alias_reasoning(message));
  }
  return base::Json(std::move(prepared));
}

// A special token is written as a string or as an object with "content".
std::optional<std::string> token_text(const base::Json* token) {
  if (token != nullptr && token->is_object()) token = token->find("content");
  if (token == nullptr || !token->is_string()) return std::nullopt;
  return token->as_string();
}

using NamedSources = std::vector<std::pair<std::string, std::string>>;

// "chat_template" of a tokenizer_config.json: one source, or a list of {name, template}.
Result<NamedSources> sources_of(const base::Json& config) {
  const base::Json* entry = config.find("chat_template");
  if (entry == nullptr || entry->is_null()) {
    return not_found(
        "no chat template: neither 'chat_template' in tokenizer_config.json nor chat_template.jinja");
  }
  if (entry->is_string()) return NamedSources{{"default", entry->as_string()}};
  if (!entry->is_array()) {
    return corrupt(std::string("'chat_template' must be a string or a list, found ") + entry->type_name());
  }
  NamedSources sources;
  for (const base::Json& item : entry->as_array()) {
    const base::Json* name = item.find("name");
    const base::Json* source = item.find("template");
    if (name == nullptr || !name->is_string() || source == nullptr || !source->is_string()) {
      return corrupt("'chat_template' must list objects with the strings 'name' and 'template'");
    }
    sources.emplace_back(name->as_string(), source->as_string());
  }
  if (sources.empty()) return not_found("'chat_template' is an empty list");
  return sources;
}

// chat_template.jinja and chat_templates/NAME.jinja of a folder; empty when it has neither.
Result<NamedSources> jinja_files_of(const std::string& folder) {
  static constexpr std::string_view kSuffix = ".jinja";
  NamedSources sources;
  const std::string main_path = base::join_path(folder, "chat_template.jinja");
  if (base::path_exists(main_path)) {
    OCTAVO_ASSIGN_OR_RETURN(std::string source, base::read_file(main_path, kMaxTemplateBytes));
    sources.emplace_back("default", std::move(source));
  }
  const std::string more = base::join_path(folder, "chat_templates");
  if (!base::is_folder(more)) return sources;
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<std::string> names, base::list_folder(more));
  for (const std::string& name : names) {
    if (!name.ends_with(kSuffix)) continue;
    OCTAVO_ASSIGN_OR_RETURN(std::string source,
                            base::read_file(base::join_path(more, name), kMaxTemplateBytes));
    sources.emplace_back(name.substr(0, name.size() - kSuffix.size()), std::move(source));
  }
  return sources;
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, std::max<size_t>(slash, 1));
}

}  // namespace

Result<ChatTemplate> ChatTemplate::parse(std::string_view source) {
  if (source.size() > kMaxTemplateBytes) {
    return resource_exhausted("the chat template has " + base::format_bytes(source.size()) + ", at most " +
                              base::format_bytes(kMaxTemplateBytes) + " are read");
  }
  if (!base::is_valid_utf8(source)) return corrupt("the chat template is not valid UTF-8");
  try {
    ChatTemplate parsed;
    parsed.templates_.emplace_back("default", std::make_shared<const jinja::Tree>(jinja::parse(source)));
    return parsed;
  } catch (const jinja::Error& error) {
    return to_status(error);
  }
}

Result<const jinja::Tree*> ChatTemplate::choose(const base::Json& variables,
                                                const RenderOptions& options) const {
  const base::Json* tools = variables.find("tools");
  const bool has_tools = tools != nullptr && !tools->is_null();
  const auto find = [&](std::string_view name) -> const jinja::Tree* {
    for (const auto& [candidate, tree] : templates_) {
      if (candidate == name) return tree.get();
    }
    return nullptr;
  };
  const jinja::Tree* tree = nullptr;
  if (options.template_name.has_value()) {
    tree = find(*options.template_name);
  } else {
    if (has_tools) tree = find("tool_use");
    if (tree == nullptr) tree = find("default");
  }
  if (tree != nullptr) return tree;
  std::string names;
  for (const auto& [name, unused] : templates_) names += (names.empty() ? "" : ", ") + base::quoted(name);
  return not_found("no chat template named " + base::quoted(options.template_name.value_or("default")) +
                   "; the checkpoint has " + names);
}

Result<std::string> ChatTemplate::render(const base::Json& variables, const RenderOptions& options) const {
  if (!variables.is_object()) {
    return invalid_argument(std::string("chat template variables must be an object, found ") +
                            variables.type_name());
  }
  OCTAVO_ASSIGN_OR_RETURN(const jinja::Tree* tree, choose(variables, options));
  base::Json messages;
  if (const base::Json* given = variables.find("messages")) {
    OCTAVO_ASSIGN_OR_RETURN(messages, prepare_messages(*given));
  }
  try {
    jinja::Interpreter interpreter(*tree, jinja::Limits(), options.now.value_or(CivilTime::local_now()));
    for (const auto& [name, text] : special_tokens_) interpreter.set_variable(name, interpreter.string(text));
    interpreter.set_variable("tools", jinja::Value());
    interpreter.set_variable("documents", jinja::Value());
    interpreter.set_variable("add_generation_prompt", jinja::Value::boolean(false));
    for (const auto& [name, value] : variables.as_object()) {
      if (!interpreter.mentions(name)) continue;
      interpreter.set_variable(name, jinja::from_json(interpreter, name == "messages" ? messages : value));
    }
    return interpreter.render();
  } catch (const jinja::Error& error) {
    return to_status(error);
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory while rendering the chat template");
  }
}

std::optional<std::string> ChatTemplate::special_token(std::string_view name) const {
  for (const auto& [candidate, text] : special_tokens_) {
    if (candidate == name) return text;
  }
  return std::nullopt;
}

void ChatTemplate::set_special_token(std::string_view name, std::string text) {
  for (auto& [candidate, old] : special_tokens_) {
    if (candidate == name) {
      old = std::move(text);
      return;
    }
  }
  special_tokens_.emplace_back(std::string(name), std::move(text));
}

bool ChatTemplate::starts_with_bos(std::string_view rendered) const {
  const std::optional<std::string> bos = special_token("bos_token");
  return bos.has_value() && !bos->empty() && rendered.starts_with(*bos);
}

Result<ChatTemplate> load_chat_template(const std::string& path) {
  const bool is_folder = base::is_folder(path);
  const bool is_source = !is_folder && path.ends_with(".jinja");
  const std::string config_path = is_folder   ? base::join_path(path, "tokenizer_config.json")
                                  : is_source ? base::join_path(folder_of(path), "tokenizer_config.json")
                                              : path;
  NamedSources sources;
  if (is_folder) {
    OCTAVO_ASSIGN_OR_RETURN(sources, jinja_files_of(path));
  } else if (is_source) {
    OCTAVO_ASSIGN_OR_RETURN(std::string source, base::read_file(path, kMaxTemplateBytes));
    sources.emplace_back("default", std::move(source));
  }
  base::Json config(base::JsonObject{});
  if (sources.empty() || base::path_exists(config_path)) {
    OCTAVO_ASSIGN_OR_RETURN(config, base::read_json_file(config_path));
    if (!config.is_object()) {
      return corrupt(config_path + ": expected an object, found " + config.type_name());
    }
  }
  if (sources.empty()) {
    auto listed = sources_of(config);
    if (!listed.ok()) return listed.status().with_context(config_path);
    sources = std::move(listed).value();
  }
  ChatTemplate loaded;
  for (const auto& [name, source] : sources) {
    auto parsed = ChatTemplate::parse(source);
    if (!parsed.ok()) return parsed.status().with_context(path + " (" + name + ")");
    loaded.templates_.emplace_back(name, parsed->templates_.front().second);
  }
  for (const std::string_view name : kSpecialTokens) {
    if (auto text = token_text(config.find(name))) loaded.set_special_token(name, *std::move(text));
  }
  return loaded;
}

}  // namespace octavo::text
