// Filters on sequences and mappings: jinja2/filters.py. Those that Python writes as generators (map, select,
// unique, …) are lazy here too: they are always true, have no length, and can be read once. Called by
// interpreter.cc and |map.
#include <algorithm>

#include "text/jinja/argument_reader.h"
#include "text/jinja/attributes.h"
#include "text/jinja/filters.h"
#include "text/jinja/operators.h"
#include "text/jinja/representation.h"
#include "text/jinja/tests.h"
#include "text/jinja/unicode.h"

namespace octavo::text::jinja {
namespace {

// "a.b.0": looked up one after the other.
class AttributePath {
 public:
  AttributePath(Runtime& runtime, const Value& attribute) {
    if (!attribute.is_string()) {
      if (!attribute.is_none()) parts_.push_back(attribute);
      return;
    }
    const std::string& text = attribute.text();
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find('.', begin), text.size());
      const std::string part = text.substr(begin, end - begin);
      const bool is_index =
          !part.empty() && part.size() < 18 && part.find_first_not_of("0123456789") == std::string::npos;
      parts_.push_back(is_index ? Value::integer(std::stoll(part)) : runtime.string(part));
      begin = end + 1;
    }
  }

  Value get(Runtime& runtime, Value item, const Value* fallback = nullptr) const {
    for (const Value& part : parts_) {
      item = get_item(runtime, item, part);
      if (fallback != nullptr && item.is_undefined()) item = *fallback;
    }
    return item;
  }

 private:
  std::vector<Value> parts_;
};

Value none_to_null(const Value* value) { return value == nullptr ? Value() : *value; }

Value fold_case(Runtime& runtime, const Value& value, bool case_sensitive) {
  return case_sensitive || !value.is_string() ? value : runtime.string(lower(value.text()));
}

Value length_of(Runtime& runtime, const Value& input, const Arguments& arguments) {
  require_no_arguments(runtime, "length", arguments);
  return Value::integer(length(runtime, input));
}

Value default_to(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "default", arguments, {"default_value", "boolean"});
  const bool replaces = input.is_undefined() || (args.flag(1, false) && !truth(runtime, input));
  if (!replaces) return input;
  return args.has(0) ? args[0] : runtime.string("");
}

Value as_list(Runtime& runtime, const Value& input, const Arguments& arguments) {
  require_no_arguments(runtime, "list", arguments);
  return runtime.list(to_vector(runtime, input));
}

Value first(Runtime& runtime, const Value& input, const Arguments& arguments) {
  require_no_arguments(runtime, "first", arguments);
  Value item;
  if (iterate(runtime, input).next(&item)) return item;
  return runtime.undefined("No first item, sequence was empty.");
}

Value last(Runtime& runtime, const Value& input, const Arguments& arguments) {
  require_no_arguments(runtime, "last", arguments);
  if (!has_length(input)) runtime.fail(std::string("'") + type_name(input) + "' object is not reversible");
  const std::vector<Value> items = to_vector(runtime, input);
  if (items.empty()) return runtime.undefined("No last item, sequence was empty.");
  return items.back();
}

Value reversed(Runtime& runtime, const Value& input, const Arguments& arguments) {
  require_no_arguments(runtime, "reverse", arguments);
  if (input.is_string()) return get_slice(runtime, input, Value(), Value(), Value::integer(-1));
  std::vector<Value> items = to_vector(runtime, input);
  std::reverse(items.begin(), items.end());
  const Value list = runtime.list(std::move(items));
  return input.is(Kind::kIterator) ? list : Value::object(Kind::kIterator, &iterate(runtime, list));
}

Value join(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "join", arguments, {"d", "attribute"});
  const std::string separator = args.has(0) ? to_text(runtime, args[0]) : "";
  const AttributePath path(runtime, none_to_null(args.get(1)));
  std::string joined;
  bool is_first = true;
  Iterator& items = iterate(runtime, input);
  for (Value item; items.next(&item);) {
    const std::string piece = to_text(runtime, path.get(runtime, item));
    runtime.charge_copy(separator.size() + piece.size());
    if (!is_first) joined += separator;
    is_first = false;
    joined += piece;
    runtime.check_live(joined.size());
  }
  return runtime.string(std::move(joined));
}

Value items_of(Runtime& runtime, const Value& input, const Arguments& arguments) {
  require_no_arguments(runtime, "items", arguments);
  if (input.is_undefined() || input.is(Kind::kDict)) {
    const Value pairs = input.is_undefined() ? input : runtime.view(input.dict(), DictView::Part::kItems);
    return Value::object(Kind::kIterator, &iterate(runtime, pairs));
  }
  return runtime.iterator(
      [&runtime](Value*) -> bool { runtime.fail("Can only get item pairs from a mapping."); });
}

Value dictsort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "dictsort", arguments, {"case_sensitive", "by", "reverse"});
  require_defined(runtime, input);
  const std::string by = args.has(1) ? args.text(1) : "key";
  if (by != "key" && by != "value") runtime.fail("dictsort() can sort by 'key' or 'value' only");
  if (!input.is(Kind::kDict))
    runtime.fail(std::string("dictsort() takes a mapping, not '") + type_name(input) + "'");
  std::vector<Value> keys;
  for (const auto& [key, value] : input.dict().items) {
    keys.push_back(fold_case(runtime, by == "key" ? key : value, args.flag(0, false)));
  }
  std::vector<Value> pairs;
  for (const size_t i : sorted_order(runtime, keys, args.flag(2, false))) {
    pairs.push_back(runtime.tuple({input.dict().items[i].first, input.dict().items[i].second}));
  }
  return runtime.list(std::move(pairs));
}

Value sort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = args.flag(1, false);
  std::vector<AttributePath> paths;
  if (args.has(2) && args[2].is_string()) {
    const std::string& text = args[2].text();
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find(',', begin), text.size());
      paths.emplace_back(runtime, runtime.string(text.substr(begin, end - begin)));
      begin = end + 1;
    }
  } else {
    paths.emplace_back(runtime, none_to_null(args.get(2)));
  }
  const std::vector<Value> items = to_vector(runtime, input);
  std::vector<Value> keys;
  for (const Value& item : items) {
    std::vector<Value> parts;
    for (const AttributePath& path : paths)
      parts.push_back(fold_case(runtime, path.get(runtime, item), case_sensitive));
    keys.push_back(runtime.list(std::move(parts)));
  }
  std::vector<Value> sorted;
  for (const size_t i : sorted_order(runtime, keys, args.flag(0, false))) sorted.push_back(items[i]);
  return runtime.list(std::move(sorted));
}

Value unique(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "unique", arguments, {"case_sensitive", "attribute"});
  const bool case_sensitive = args.flag(0, false);
  Iterator& source = iterate(runtime, input);
  return runtime.iterator([&runtime, &source, case_sensitive,
                           path = AttributePath(runtime, none_to_null(args.get(1))),
                           seen = Dict()](Value* out) mutable {
    while (source.next(out)) {
      const Value key = fold_case(runtime, path.get(runtime, *out), case_sensitive);
      if (find(runtime, seen, key) != nullptr) continue;
      seen.items.emplace_back(key, Value());
      return true;
    }
    return false;
  });
}

template <bool kMax>
Value extreme(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, kMax ? "max" : "min", arguments, {"case_sensitive", "attribute"});
  const AttributePath path(runtime, none_to_null(args.get(1)));
  Iterator& items = iterate(runtime, input);
  Value best, best_key;
  if (!items.next(&best)) return runtime.undefined("No aggregated item, sequence was empty.");
  best_key = fold_case(runtime, path.get(runtime, best), args.flag(0, false));
  for (Value item; items.next(&item);) {
    const Value key = fold_case(runtime, path.get(runtime, item), args.flag(0, false));
    if (kMax ? less(runtime, best_key, key) : less(runtime, key, best_key)) {
      best = item;
      best_key = key;
    }
  }
  return best;
}

Value sum(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "sum", arguments, {"attribute", "start"});
  const AttributePath path(runtime, none_to_null(args.get(0)));
  Value total = args.has(1) ? args[1] : Value::integer(0);
  if (total.is_string()) runtime.fail("sum() can't sum strings");
  Iterator& items = iterate(runtime, input);
  for (Value item; items.next(&item);) total = binary(runtime, "+", total, path.get(runtime, item));
  return total;
}

Value batch(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "batch", arguments, {"linecount", "fill_with"}, 1);
  const int64_t size = args.integer(0, 1);
  Iterator& source = iterate(runtime, input);
  // A row is given out when the item after it is read; so a count of 0 gives an empty row and then one with
  // all.
  return runtime.iterator([&runtime, &source, size, fill = none_to_null(args.get(1)),
                           row = std::vector<Value>()](Value* out) mutable {
    for (Value item; source.next(&item);) {
      runtime.reserve(1);
      const bool full = static_cast<int64_t>(row.size()) == size;
      if (full) *out = runtime.list(std::exchange(row, {}));
      row.push_back(std::move(item));
      if (full) return true;
    }
    if (row.empty()) return false;
    while (!fill.is_none() && static_cast<int64_t>(row.size()) < size) {
      runtime.reserve(1);
      row.push_back(fill);
    }
    *out = runtime.list(std::exchange(row, {}));
    return true;
  });
}

Value slice(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "slice", arguments, {"slices", "fill_with"}, 1);
  const std::vector<Value> items = to_vector(runtime, input);
  const int64_t n_slices = args.integer(0, 1);
  if (n_slices == 0) runtime.fail("slice() needs at least one slice");
  const auto size = static_cast<int64_t>(items.size());
  std::vector<Value> slices;
  for (int64_t i = 0, at = 0; i < n_slices; ++i) {
    const bool has_extra = i < size % n_slices;
    const int64_t end = at + size / n_slices + (has_extra ? 1 : 0);
    std::vector<Value> row(items.begin() + at, items.begin() + end);
    if (args.has(1) && !args[1].is_none() && !has_extra) row.push_back(args[1]);
    slices.push_back(runtime.list(std::move(row)));
    at = end;
  }
  return Value::object(Kind::kIterator, &iterate(runtime, runtime.list(std::move(slices))));
}

Value groupby(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const bool case_sensitive = args.flag(2, false);
  const AttributePath path(runtime, args[0]);
  const Value* fallback = args.has(1) && !args[1].is_none() ? args.get(1) : nullptr;
  const std::vector<Value> items = to_vector(runtime, input);
  std::vector<Value> keys;
  for (const Value& item : items)
    keys.push_back(fold_case(runtime, path.get(runtime, item, fallback), case_sensitive));
  const std::vector<size_t> order = sorted_order(runtime, keys, false);
  std::vector<Value> groups;
  for (size_t begin = 0; begin < order.size();) {
    std::vector<Value> members = {items[order[begin]]};
    size_t end = begin + 1;
    for (; end < order.size() && equals(runtime, keys[order[begin]], keys[order[end]]); ++end) {
      members.push_back(items[order[end]]);
    }
    auto* group = runtime.make<Sequence>();
    group->is_group = true;
    group->items = {path.get(runtime, members.front(), fallback), runtime.list(members)};
    groups.push_back(Value::object(Kind::kTuple, group));
    begin = end;
  }
  return runtime.list(std::move(groups));
}

Value attribute_of(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(runtime, "attr", arguments, {"name"}, 1);
  Value found;
  if (find_attribute(runtime, input, args.text(0), &found)) return found;
  return runtime.undefined("object", args.text(0));
}

Arguments without_first(const Arguments& arguments, size_t n) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(), rest.positional.begin() + static_cast<std::ptrdiff_t>(n));
  return rest;
}

using Transform = std::function<Value(const Value&)>;

Transform prepare_map(Runtime& runtime, const Arguments& arguments) {
  if (arguments.positional.empty() && arguments.keyword("attribute") != nullptr) {
    const ArgumentReader args(runtime, "map", arguments, {"attribute", "default"});
    const bool has_default = args.has(1) && !args[1].is_none();
    return [&runtime, path = AttributePath(runtime, args[0]), has_default,
            fallback = none_to_null(args.get(1))](const Value& item) {
      return path.get(runtime, item, has_default ? &fallback : nullptr);
    };
  }
  if (arguments.positional.empty()) runtime.fail("map requires a filter argument");
  const std::string name = to_text(runtime, arguments.positional[0]);
  const FilterFunction filter = find_filter(name);
  if (filter == nullptr) runtime.fail(StatusCode::kUnsupported, "no filter named '" + name + "'");
  return [&runtime, filter, rest = without_first(arguments, 1)](const Value& item) {
    return filter(runtime, item, rest);
  };
}

Value map(Runtime& runtime, const Value& input, const Arguments& arguments) {
  // Nothing is checked before the first item is asked for, as in Python's generator.
  return runtime.iterator([&runtime, input, arguments, source = static_cast<Iterator*>(nullptr),
                           transform = Transform()](Value* out) mutable {
    if (source == nullptr) {
      if (!truth(runtime, input)) return false;
      transform = prepare_map(runtime, arguments);
      source = &iterate(runtime, input);
    }
    Value item;
    if (!source->next(&item)) return false;
    *out = transform(item);
    return true;
  });
}

using Predicate = std::function<bool(const Value&)>;

Predicate prepare_select(Runtime& runtime, const Arguments& arguments, bool by_attribute) {
  const size_t offset = by_attribute ? 1 : 0;
  if (arguments.positional.size() < offset) runtime.fail("missing parameter for attribute name");
  const AttributePath path(runtime, by_attribute ? arguments.positional[0] : Value());
  if (arguments.positional.size() == offset) {
    return [&runtime, path](const Value& item) { return truth(runtime, path.get(runtime, item)); };
  }
  const std::string name = to_text(runtime, arguments.positional[offset]);
  const TestFunction test = find_test(name);
  if (test == nullptr) runtime.fail(StatusCode::kUnsupported, "no test named '" + name + "'");
  return [&runtime, path, test, rest = without_first(arguments, offset + 1)](const Value& item) {
    return test(runtime, path.get(runtime, item), rest);
  };
}

template <bool kByAttribute, bool kKeep>
Value select(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return runtime.iterator([&runtime, input, arguments, source = static_cast<Iterator*>(nullptr),
                           predicate = Predicate()](Value* out) mutable {
    if (source == nullptr) {
      if (!truth(runtime, input)) return false;
      predicate = prepare_select(runtime, arguments, kByAttribute);
      source = &iterate(runtime, input);
    }
    while (source->next(out)) {
      if (predicate(*out) == kKeep) return true;
    }
    return false;
  });
}

}  // namespace

FilterFunction find_sequence_filter(std::string_view name) {
  static constexpr std::pair<std::string_view, FilterFunction> kFilters[] = {
      {"length", length_of},
      {"count", length_of},
      {"default", default_to},
      {"d", default_to},
      {"list", as_list},
      {"first", first},
      {"last", last},
      {"reverse", reversed},
      {"join", join},
      {"items", items_of},
      {"dictsort", dictsort},
      {"sort", sort},
      {"unique", unique},
      {"min", extreme<false>},
      {"max", extreme<true>},
      {"sum", sum},
      {"batch", batch},
      {"slice", slice},
      {"groupby", groupby},
      {"attr", attribute_of},
      {"map", map},
      {"select", select<false, true>},
      {"reject", select<false, false>},
      {"selectattr", select<true, true>},
      {"rejectattr", select<true, false>},
  };
  for (const auto& [filter, function] : kFilters) {
    if (filter == name) return function;
  }
  return nullptr;
}

}  // namespace octavo::text::jinja
