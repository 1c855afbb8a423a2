#pragma once
// What values, filters and methods need of a render under way: it owns their objects, counts steps, bytes and
// depth, and raises errors with the template's line. The interpreter (interpreter.h) is the one
// implementation.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/civil_time.h"
#include "text/jinja/error.h"
#include "text/jinja/value.h"

namespace octavo::text::jinja {

// Every loop, string and container is paid for in steps and bytes, so a hostile template ends in an error
// within seconds and this much memory. Measured on 68 real templates with a conversation of 1,000 messages
// and 1 MB: 12,000 to 350,000 steps, but 3.4 and 5.5 million in the two whose work grows with the square of
// it.
struct Limits {
  uint64_t max_steps = 20'000'000;
  uint64_t max_output_bytes = uint64_t{64} << 20;
  uint64_t max_live_bytes = uint64_t{256} << 20;  // of strings and containers
  int max_depth = 800;                            // nested evaluations; one macro call takes about eight
};

class Runtime {
 public:
  Runtime(const Limits& limits, CivilTime now) : limits_(limits), now_(now) {}
  virtual ~Runtime() = default;
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Values.
  Value string(std::string bytes, bool markup = false);
  Value list(std::vector<Value> items) { return sequence(Kind::kList, std::move(items)); }
  Value tuple(std::vector<Value> items) { return sequence(Kind::kTuple, std::move(items)); }
  // Keys must be unique; make_dict in operators.h sees to it.
  Value dict(std::vector<std::pair<Value, Value>> items);
  Value range(int64_t start, int64_t stop, int64_t step, int64_t length);
  Value view(const Dict& dict, DictView::Part part);
  Value iterator(std::function<bool(Value* out)> next);
  Value undefined(std::string message) { return undefined({}, std::move(message)); }
  // `owner`, a literal, has no attribute `name`.
  Value undefined(std::string_view owner, std::string name);
  Value function(std::string_view name, NativeFunction native, Value self);
  template <class T>
  T* make() {
    return static_cast<T*>(own(std::make_unique<T>(), sizeof(T)));
  }

  // Calls a macro, function or recursive loop.
  virtual Value call(const Value& callee, const Arguments& arguments) = 0;

  // `n_bytes` of text are about to be read character by character, or copied.
  void charge_bytes(uint64_t n_bytes) { charge(1 + n_bytes / 64); }
  void charge_copy(uint64_t n_bytes) { charge(1 + n_bytes / 512); }
  void charge(uint64_t n_steps);
  // Refuses a string of this size.
  void check_live(uint64_t n_more_bytes) const;
  // A string of this size is about to be built: refuses it before the memory is taken.
  void expect_text(uint64_t n_bytes) {
    charge_copy(n_bytes);
    check_live(n_bytes);
  }
  // A container of this size is about to be made.
  void reserve(uint64_t n_values) {
    charge(1 + n_values / 4);
    hold(n_values * sizeof(Value));
  }

  [[noreturn]] void fail(std::string message) const {
    fail(StatusCode::kInvalidArgument, std::move(message));
  }
  [[noreturn]] void fail(StatusCode code, std::string message) const {
    throw Error{code, line_, std::move(message)};
  }

  const CivilTime& now() const { return now_; }
  const Limits& limits() const { return limits_; }
  int line() const { return line_; }
  void set_line(int line) { line_ = line; }

  // One level of recursion; the constructor raises when there are too many.
  class Level {
   public:
    explicit Level(Runtime& runtime) : runtime_(runtime) {
      if (runtime.depth_ >= runtime.limits_.max_depth) runtime.fail_depth();
      ++runtime.depth_;
    }
    ~Level() { --runtime_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Runtime& runtime_;
  };

 private:
  Object* own(std::unique_ptr<Object> object, uint64_t n_bytes);
  void hold(uint64_t n_bytes) {
    check_live(n_bytes);
    live_bytes_ += n_bytes;
  }
  Value sequence(Kind kind, std::vector<Value> items);
  [[noreturn]] void fail_depth() const;

  Limits limits_;
  CivilTime now_;
  uint64_t n_steps_ = 0;
  uint64_t live_bytes_ = 0;  // outlives the objects below, whose strings give theirs back
  int depth_ = 0;
  int line_ = 0;
  std::vector<std::unique_ptr<Object>> objects_;
};

}  // namespace octavo::text::jinja
