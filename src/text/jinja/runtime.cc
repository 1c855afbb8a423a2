// The accounting of a render: every object is made here and paid for. Called by the interpreter and
// everything below it.
#include "text/jinja/runtime.h"

namespace octavo::text::jinja {

void Runtime::charge(uint64_t n_steps) {
  n_steps_ += n_steps;
  if (n_steps_ > limits_.max_steps) {
    fail(StatusCode::kResourceExhausted,
         "the template takes more than " + std::to_string(limits_.max_steps) + " steps");
  }
}

void Runtime::check_live(uint64_t n_more_bytes) const {
  if (live_bytes_ + n_more_bytes > limits_.max_live_bytes) {
    fail(StatusCode::kResourceExhausted,
         "the template holds more than " + std::to_string(limits_.max_live_bytes) + " bytes of values");
  }
}

void Runtime::fail_depth() const {
  fail(StatusCode::kResourceExhausted,
       "the template recurses deeper than " + std::to_string(limits_.max_depth) + " levels");
}

Object* Runtime::own(std::unique_ptr<Object> object, uint64_t n_bytes) {
  charge(4);  // what an allocation costs beside a plain step
  hold(n_bytes + sizeof object);
  objects_.push_back(std::move(object));
  return objects_.back().get();
}

Value Runtime::string(std::string bytes, bool markup) {
  expect_text(bytes.size());
  return Value::string(std::make_shared<const Text>(std::move(bytes), &live_bytes_), markup);
}

Value Runtime::sequence(Kind kind, std::vector<Value> items) {
  reserve(items.size());
  auto* made = make<Sequence>();
  made->items = std::move(items);
  return Value::object(kind, made);
}

Value Runtime::dict(std::vector<std::pair<Value, Value>> items) {
  reserve(items.size() * 2);
  auto* made = make<Dict>();
  made->items = std::move(items);
  return Value::object(Kind::kDict, made);
}

Value Runtime::range(int64_t start, int64_t stop, int64_t step, int64_t length) {
  auto* made = make<Range>();
  made->start = start;
  made->stop = stop;
  made->step = step;
  made->length = length;
  return Value::object(Kind::kRange, made);
}

Value Runtime::view(const Dict& dict, DictView::Part part) {
  auto* made = make<DictView>();
  made->dict = &dict;
  made->part = part;
  return Value::object(Kind::kDictView, made);
}

Value Runtime::iterator(std::function<bool(Value* out)> next) {
  auto* made = make<Iterator>();
  // Iterators feed on one another: a pull may go through all of them.
  made->next = [this, next = std::move(next)](Value* out) {
    const Level level(*this);
    charge(1);
    return next(out);
  };
  return Value::object(Kind::kIterator, made);
}

Value Runtime::undefined(std::string_view owner, std::string name) {
  auto* reason = make<UndefinedReason>();
  reason->owner = owner;
  reason->name = std::move(name);
  return Value::undefined(reason);
}

Value Runtime::function(std::string_view name, NativeFunction native, Value self) {
  auto* made = make<Function>();
  made->name = name;
  made->call = native;
  made->self = std::move(self);
  return Value::object(Kind::kFunction, made);
}

}  // namespace octavo::text::jinja
