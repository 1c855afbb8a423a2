// Python's iteration and length protocols: what `for`, |list and |length accept. Declared in operators.h.
#include "text/jinja/operators.h"
#include "text/jinja/unicode.h"

namespace octavo::text::jinja {

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kDictView:
    case Kind::kRange:
    case Kind::kLoop:
    case Kind::kIterator:
      return true;
    default:
      return false;
  }
}

bool has_length(const Value& value) { return is_iterable(value) && !value.is(Kind::kIterator); }

int64_t length(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString: {
      runtime.charge_bytes(value.text().size());
      return static_cast<int64_t>(n_code_points(value.text()));
    }
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<int64_t>(value.sequence().items.size());
    case Kind::kDict:
      return static_cast<int64_t>(value.dict().items.size());
    case Kind::kDictView:
      return static_cast<int64_t>(value.view().dict->items.size());
    case Kind::kRange:
      return value.range().length;
    case Kind::kLoop: {
      Loop& loop = value.loop();
      if (loop.length < 0) {  // a loop over an iterator learns its length by reading it to the end
        std::vector<Value> rest;
        for (Value item; loop.source->next(&item);) {
          runtime.reserve(1);
          rest.push_back(std::move(item));
        }
        loop.length = loop.index0 + 1 + (loop.has_ahead ? 1 : 0) + static_cast<int64_t>(rest.size());
        loop.source = &iterate(runtime, runtime.list(std::move(rest)));
        loop.at_end = false;
      }
      return loop.length;
    }
    default:
      runtime.fail(std::string("object of type '") + type_name(value) + "' has no len()");
  }
}

Value item_at(Runtime& runtime, const Value& value, int64_t index) {
  if (value.is(Kind::kRange)) return Value::integer(value.range().start + index * value.range().step);
  if (value.is_sequence()) return value.sequence().items[static_cast<size_t>(index)];
  const std::string& text = value.text();
  runtime.charge_bytes(text.size());
  size_t end = byte_offset(text, static_cast<size_t>(index));
  const size_t begin = end;
  decode(text, &end);
  return runtime.string(text.substr(begin, end - begin), value.is_markup());
}

Iterator& iterate(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kIterator:
      return value.iterator();
    case Kind::kUndefined:
      return runtime.iterator([](Value*) { return false; }).iterator();
    case Kind::kString:
      return runtime
          .iterator([&runtime, value, at = size_t{0}](Value* out) mutable {
            const std::string& text = value.text();
            if (at >= text.size()) return false;
            const size_t begin = at;
            decode(text, &at);
            *out = runtime.string(text.substr(begin, at - begin));
            return true;
          })
          .iterator();
    case Kind::kList:
    case Kind::kTuple:
      return runtime
          .iterator([items = &value.sequence().items, at = size_t{0}](Value* out) mutable {
            if (at >= items->size()) return false;
            *out = (*items)[at++];
            return true;
          })
          .iterator();
    case Kind::kDict:
      return iterate(runtime, runtime.view(value.dict(), DictView::Part::kKeys));
    case Kind::kDictView:
      return runtime
          .iterator([&runtime, view = &value.view(), at = size_t{0}](Value* out) mutable {
            if (at >= view->dict->items.size()) return false;
            const auto& [key, item] = view->dict->items[at++];
            *out = view->part == DictView::Part::kKeys     ? key
                   : view->part == DictView::Part::kValues ? item
                                                           : runtime.tuple({key, item});
            return true;
          })
          .iterator();
    case Kind::kRange:
      return runtime
          .iterator([range = &value.range(), at = int64_t{0}](Value* out) mutable {
            if (at >= range->length) return false;
            *out = Value::integer(range->start + range->step * at++);
            return true;
          })
          .iterator();
    case Kind::kLoop:
      return runtime
          .iterator([&runtime, value](Value* out) {
            Value item;
            if (!value.loop().advance(&item)) return false;
            *out = runtime.tuple({item, value});
            return true;
          })
          .iterator();
    default:
      runtime.fail(std::string("'") + type_name(value) + "' object is not iterable");
  }
}

std::vector<Value> to_vector(Runtime& runtime, const Value& value) {
  if (value.is_sequence()) {
    runtime.reserve(value.sequence().items.size());
    return value.sequence().items;
  }
  std::vector<Value> items;
  Iterator& source = iterate(runtime, value);
  for (Value item; source.next(&item);) {
    runtime.reserve(1);
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace octavo::text::jinja
