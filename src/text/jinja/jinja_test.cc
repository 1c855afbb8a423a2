// The template language against expectations that transformers' own environment made (golden.jsonl), its
// limits, and mutated templates.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "text/jinja/error.h"
#include "text/jinja/from_json.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

namespace octavo::text::jinja {
namespace {

constexpr CivilTime kNow = {2024, 7, 6, 5, 4, 3};

std::string render(std::string_view source, const base::Json& variables = {}, const Limits& limits = {}) {
  const Tree tree = parse(source);
  Interpreter interpreter(tree, limits, kNow);
  if (variables.is_object()) {
    for (const auto& [name, value] : variables.as_object()) {
      if (interpreter.mentions(name)) interpreter.set_variable(name, from_json(interpreter, value));
    }
  }
  return interpreter.render();
}

Error error_of(std::string_view source, const Limits& limits = {}) {
  try {
    const std::string text = render(source, {}, limits);
    return {StatusCode::kOk, 0, "no error but the text " + text};
  } catch (const Error& error) {
    return error;
  }
}

std::vector<base::Json> golden_rows() {
  const auto file = base::read_file(OCTAVO_SOURCE_DIR "/src/text/jinja/golden.jsonl");
  std::vector<base::Json> rows;
  if (!file.ok()) return rows;
  for (size_t begin = 0; begin < file->size();) {
    const size_t end = file->find('\n', begin);
    auto row = base::parse_json(std::string_view(*file).substr(begin, end - begin));
    if (!row.ok()) return {};
    rows.push_back(*std::move(row));
    begin = end + 1;
  }
  return rows;
}

TEST(Jinja, RendersAsTransformersDoes) {
  const std::vector<base::Json> rows = golden_rows();
  ASSERT_GT(rows.size(), 300u);
  for (size_t i = 1; i < rows.size(); ++i) {
    const std::string& source = rows[i].find("template")->as_string();
    const base::Json* expected = rows[i].find("text");
    try {
      const std::string text = render(source, rows[0]);
      ASSERT_NE(expected, nullptr) << source << "\nshould fail, gave\n" << text;
      EXPECT_EQ(text, expected->as_string()) << source;
    } catch (const Error& error) {
      EXPECT_EQ(expected, nullptr) << source << "\nfailed: " << error.message;
    }
  }
}

TEST(Jinja, ErrorsNameLineAndCause) {
  struct Case {
    const char* source;
    int line;
    const char* message;
  };
  const Case cases[] = {
      {"a\n{{ x|nosuch }}", 2, "no filter named 'nosuch'"},
      {"\n\n{{ x is nosuch }}", 3, "no test named 'nosuch'"},
      {"{% nosuch %}", 1, "unknown tag 'nosuch'"},
      {"{{ nosuch() }}", 1, "'nosuch' is undefined"},
      {"{{ {}.a.b }}", 1, "'dict object' has no attribute 'a'"},
      {"{% for a in [1] %}\n{% if a %}", 2, "the template ends inside 'if' of line 2, expected 'endif'"},
      {"{{ 1 +\n}}", 2, "expected an expression, found '}}'"},
      {"{% include 'x' %}", 1, "the tag 'include' is not supported in chat templates"},
      {"x\n{{ raise_exception('roles must alternate') }}", 2, "roles must alternate"},
      {"{{ [].append(1) }}", 1, "access to attribute 'append' of 'list' object is unsafe"},
      {"{{ 'a'.encode() }}", 1,
       "the string methods encode, translate, maketrans and casefold are not supported in chat templates"},
      {"{{ 9223372036854775807 + 1 }}", 1, "an integer result does not fit 64 bits"},
      {"{% macro m(a) %}{% endmacro %}\n{{ m(b=1) }}", 2, "macro 'm' takes no keyword argument 'b'"},
  };
  for (const Case& c : cases) {
    const Error error = error_of(c.source);
    EXPECT_EQ(error.message, c.message) << c.source;
    EXPECT_EQ(error.line, c.line) << c.source;
  }
}

// Each would take all memory, all time or the whole stack without its limit.
TEST(Jinja, HostileTemplatesEndInAnError) {
  const std::string sources[] = {
      "{% for i in range(1000000000) %}x{% endfor %}",
      "{{ 'a' * 1000000000000 }}",
      "{{ [1] * 1000000000000 }}",
      "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
      "{% macro r() %}{{ r() }}{% endmacro %}{{ r() }}",
      "{% macro r(n) %}{{ r(n) ~ r(n) }}{% endmacro %}{{ r(60) }}",
      "{% for a in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}",
      "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
      "{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ "
      "ns.a }}",
      "{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}"
      "{{ ns.a|tojson }}",
      "{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}"
      "{{ ns.a == ns.a|list }}",
      "{% set ns = namespace(a=[1]) %}{% for i in range(9999) %}{% set ns.a = [ns.a] %}{% endfor %}{{ ns.a "
      "}}",
      "{% set ns = namespace(a=[1]) %}{% for i in range(9999) %}{% set ns.a = ns.a|select %}{% endfor %}"
      "{{ ns.a|list }}",
      "{% set ns = namespace(a='ab') %}{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}",
      "{{ 'x'|center(1000000000) }}",
      "{{ 'x'.zfill(1000000000000) }}",
      "{{ 'a\nb'|indent(1000000000) }}",
      "{{ [1]|tojson(indent=1000000000) }}",
      "{{ '%1000000000d' % 1 }}",
      "{{ '{:{}}'.format(1, 1000000000) }}",
      "{{ [1]|batch(1000000000, 0)|list }}",
      "{{ [1]|slice(1000000000)|list }}",
      "{{ 9**9**9 }}",
      "{{ range(100000)|join('x' * 1000000) }}",
      "{% set x = 'a' * 1000000 %}{% for i in range(100000) %}{{ x }}{% endfor %}",
      "{{ " + std::string(100000, '(') + "1" + std::string(100000, ')') + " }}",
      "{{ " + std::string(100000, '-') + "1 }}",
      "{% set " + std::string(100000, '(') + "a" + std::string(100000, ')') + " = 1 %}",
  };
  Limits limits;  // a tenth of what is usual, for a test's sake
  limits.max_steps = 500'000;
  limits.max_live_bytes = uint64_t{32} << 20;
  for (const std::string& source : sources) {
    EXPECT_NE(error_of(source, limits).code, StatusCode::kOk) << source.substr(0, 200);
  }
  const auto repeated = [](const std::string& head, const std::string& unit, const std::string& tail) {
    std::string source = head;
    for (int i = 0; i < 20000; ++i) source += unit;
    return source + tail;
  };
  for (const auto& [head, unit, tail] :
       std::vector<std::array<std::string, 3>>{{"{{ 1", "+1", " }}"},
                                               {"{{ 1", "|string", " }}"},
                                               {"{{ x", ".a", " }}"},
                                               {"{{ x", "()", " }}"},
                                               {"{{ 1", " if 1 else 1", " }}"},
                                               {"{{ ", "not ", "1 }}"},
                                               {"", "{% if 1 %}", ""},
                                               {"", "{% for a in b %}", ""}}) {
    EXPECT_NE(error_of(repeated(head, unit, tail)).code, StatusCode::kOk) << unit;
  }
}

TEST(Jinja, LimitsSayWhichOneWasHit) {
  Limits limits;
  limits.max_steps = 1000;
  limits.max_output_bytes = 100;
  limits.max_live_bytes = 10000;
  const auto failure = [&](std::string_view source) {
    try {
      return render(source, {}, limits);
    } catch (const Error& error) {
      EXPECT_EQ(error.code, StatusCode::kResourceExhausted);
      return error.message;
    }
  };
  EXPECT_EQ(failure("{% for i in range(1000) %}{% endfor %}"), "the template takes more than 1000 steps");
  EXPECT_EQ(failure("{{ 'a' * 200 }}"), "the template writes more than 100 bytes");
  EXPECT_EQ(failure("{{ ('a' * 20000)|length }}"), "the template holds more than 10000 bytes of values");
  limits.max_depth = 20;
  EXPECT_EQ(failure("{% macro r() %}{{ r() }}{% endmacro %}{{ r() }}"),
            "the template recurses deeper than 20 levels");
}

// Deep recursion must end before the stack does, within what a thread has by default.
TEST(Jinja, ReasonableRecursionWorks) {
  EXPECT_EQ(
      render("{% macro sum(n) %}{% if n > 0 %}{{ n + sum(n - 1)|int }}{% else %}0{% endif %}{% endmacro %}"
             "{{ sum(60) }}"),
      "1830");
}

class SplitMix {
 public:
  explicit SplitMix(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  size_t below(size_t n) { return static_cast<size_t>(next() % n); }

 private:
  uint64_t state_;
};

// Pieces of real templates cut, doubled and mixed: a text or an Error, nothing else.
TEST(Jinja, MutatedTemplatesNeverCrash) {
  const std::vector<base::Json> rows = golden_rows();
  ASSERT_FALSE(rows.empty());
  Limits limits;
  limits.max_steps = 20000;
  limits.max_live_bytes = 1 << 20;
  SplitMix random(1);
  int n_texts = 0, n_errors = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string source = rows[1 + random.below(rows.size() - 1)].find("template")->as_string();
    for (size_t n = 1 + random.below(4); n > 0 && !source.empty(); --n) {
      const std::string& other = rows[1 + random.below(rows.size() - 1)].find("template")->as_string();
      const size_t at = random.below(source.size()), from = random.below(other.size());
      switch (random.below(4)) {
        case 0:
          source.erase(at, 1 + random.below(4));
          break;
        case 1:
          source.insert(at, other.substr(from, 1 + random.below(12)));
          break;
        case 2:
          source.replace(at, 1 + random.below(12), other.substr(from, 1 + random.below(12)));
          break;
        default:
          source[at] = "{}%#-+|.()[]'\"*, "[random.below(17)];
      }
    }
    try {
      render(source, rows[0], limits);
      ++n_texts;
    } catch (const Error&) {
      ++n_errors;
    }
  }
  EXPECT_GT(n_texts, 400);
  EXPECT_GT(n_errors, 400);
}

}  // namespace
}  // namespace octavo::text::jinja
