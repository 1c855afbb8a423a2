// Global functions: Jinja's range, dict and namespace, and transformers' raise_exception and strftime_now.
// Called by interpreter.cc.
#include "text/jinja/functions.h"

#include "text/jinja/argument_reader.h"
#include "text/jinja/operators.h"
#include "text/jinja/representation.h"

namespace octavo::text::jinja {
namespace {

constexpr int64_t kMaxRange = 100'000;  // the sandbox of Jinja has the same
constexpr size_t kMaxDateFormat = 1000;

Value range(Runtime& runtime, const Value&, const Arguments& arguments) {
  const ArgumentReader args(runtime, "range", arguments, {"start", "stop", "step"}, 1, 3);
  const bool has_start = args.has(1);
  const int64_t start = has_start ? args.integer(0, 0) : 0;
  const int64_t stop = args.integer(has_start ? 1 : 0, 0);
  const int64_t step = args.integer(2, 1);
  if (step == 0) runtime.fail("range() arg 3 must not be zero");
  const bool is_empty = step > 0 ? start >= stop : start <= stop;
  if (is_empty) return runtime.range(start, stop, step, 0);
  const uint64_t span = step > 0 ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                                 : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : uint64_t{0} - static_cast<uint64_t>(step);
  const uint64_t length = (span - 1) / stride + 1;
  if (length > static_cast<uint64_t>(kMaxRange)) {
    runtime.fail(StatusCode::kResourceExhausted,
                 "range() is too big: more than " + std::to_string(kMaxRange) + " items");
  }
  return runtime.range(start, stop, step, static_cast<int64_t>(length));
}

// dict(mapping or pairs, name=value, …) as a list of items.
std::vector<std::pair<Value, Value>> dict_items(Runtime& runtime, const Arguments& arguments) {
  if (arguments.positional.size() > 1) runtime.fail("dict() takes at most 1 positional argument");
  std::vector<std::pair<Value, Value>> items;
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is(Kind::kDict)) {
      items = source.dict().items;
    } else {
      for (const Value& pair : to_vector(runtime, source)) {
        std::vector<Value> parts = to_vector(runtime, pair);
        if (parts.size() != 2) runtime.fail("dict() takes pairs of key and value");
        items.emplace_back(std::move(parts[0]), std::move(parts[1]));
      }
    }
  }
  for (const auto& [name, value] : arguments.keywords) items.emplace_back(runtime.string(name), value);
  return items;
}

Value dict(Runtime& runtime, const Value&, const Arguments& arguments) {
  return make_dict(runtime, dict_items(runtime, arguments));
}

Value make_namespace(Runtime& runtime, const Value&, const Arguments& arguments) {
  auto* made = runtime.make<Namespace>();
  const Value items = make_dict(runtime, dict_items(runtime, arguments));
  for (const auto& [name, value] : items.dict().items) {
    if (!name.is_string()) runtime.fail("a namespace takes string names only");
    if (name.text().starts_with('_'))
      runtime.fail("a namespace cannot hold the underscored name " + to_repr(runtime, name));
    made->set(name.text(), value);
  }
  return Value::object(Kind::kNamespace, made);
}

Value raise_exception(Runtime& runtime, const Value&, const Arguments& arguments) {
  const ArgumentReader args(runtime, "raise_exception", arguments, {"message"}, 1);
  runtime.fail(to_text(runtime, args[0]));
}

Value strftime_now(Runtime& runtime, const Value&, const Arguments& arguments) {
  const ArgumentReader args(runtime, "strftime_now", arguments, {"format"}, 1);
  if (args.text(0).size() > kMaxDateFormat) runtime.fail("the format of strftime_now() is too long");
  return runtime.string(format_civil_time(runtime.now(), args.text(0)));
}

}  // namespace

std::span<const std::pair<std::string_view, NativeFunction>> global_functions() {
  static constexpr std::pair<std::string_view, NativeFunction> kFunctions[] = {
      {"range", range},
      {"dict", dict},
      {"namespace", make_namespace},
      {"raise_exception", raise_exception},
      {"strftime_now", strftime_now},
  };
  return kFunctions;
}

}  // namespace octavo::text::jinja
