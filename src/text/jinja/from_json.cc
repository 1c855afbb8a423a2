// Messages and tools arrive as JSON: objects become dicts in their order, numbers stay integers or floats.
// Called by chat_template.cc.
#include "text/jinja/from_json.h"

namespace octavo::text::jinja {

Value from_json(Runtime& runtime, const base::Json& json) {
  const Runtime::Level level(runtime);
  if (json.is_bool()) return Value::boolean(json.as_bool());
  if (json.is_int()) return Value::integer(json.as_int());
  if (json.is_double()) return Value::real(json.as_double());
  if (json.is_string()) return runtime.string(json.as_string());
  if (json.is_array()) {
    std::vector<Value> items;
    items.reserve(json.as_array().size());
    for (const base::Json& item : json.as_array()) items.push_back(from_json(runtime, item));
    return runtime.list(std::move(items));
  }
  if (json.is_object()) {
    std::vector<std::pair<Value, Value>> items;
    items.reserve(json.as_object().size());
    for (const auto& [key, item] : json.as_object()) {
      Value name = runtime.string(key);
      items.emplace_back(std::move(name), from_json(runtime, item));
    }
    return runtime.dict(std::move(items));
  }
  return Value();
}

}  // namespace octavo::text::jinja
