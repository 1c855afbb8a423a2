// ChatTemplate: what transformers does around Jinja, loading from checkpoints, and real templates where the
// shared data is at hand.
#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/test_environment.h"

namespace octavo::text {
namespace {

RenderOptions on(int year, int month, int day) {
  RenderOptions options;
  options.now = CivilTime{year, month, day};
  return options;
}

base::Json json(std::string_view text) {
  auto parsed = base::parse_json(text);
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  return parsed.ok() ? *parsed : base::Json();
}

std::string rendered(const ChatTemplate& chat, std::string_view variables) {
  const auto text = chat.render(json(variables));
  return text.ok() ? *text : "error: " + text.status().message();
}

ChatTemplate parsed(std::string_view source) {
  auto chat = ChatTemplate::parse(source);
  EXPECT_TRUE(chat.ok()) << chat.status().message();
  return chat.ok() ? *std::move(chat) : *ChatTemplate::parse("");
}

class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / ("octavo_chat_" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_ / "chat_templates");
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  void write(const std::string& name, std::string_view text) const {
    ASSERT_TRUE(base::write_file_atomic((path_ / name).string(), text).ok());
  }
  std::string path(const std::string& name = {}) const {
    return name.empty() ? path_.string() : (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

TEST(ChatTemplate, RendersConversationsAsTransformersDoes) {
  const auto chat = load_chat_template(OCTAVO_SOURCE_DIR "/src/text/chat_template_golden.jinja");
  ASSERT_TRUE(chat.ok()) << chat.status().message();
  const auto file = base::read_file(OCTAVO_SOURCE_DIR "/src/text/chat_template_golden.jsonl");
  ASSERT_TRUE(file.ok());
  int n_texts = 0, n_errors = 0;
  for (size_t begin = 0; begin < file->size();) {
    const size_t end = file->find('\n', begin);
    const base::Json row = json(std::string_view(*file).substr(begin, end - begin));
    begin = end + 1;
    const auto text = chat->render(*row.find("variables"), on(2024, 7, 26));
    const base::Json* expected = row.find("text");
    EXPECT_EQ(text.ok(), expected != nullptr) << row.dump() << "\n" << text.status().message();
    if (text.ok() && expected != nullptr) {
      EXPECT_EQ(*text, expected->as_string());
    }
    ++(expected != nullptr ? n_texts : n_errors);
  }
  EXPECT_GT(n_texts, 40);
  EXPECT_GT(n_errors, 3);
}

TEST(ChatTemplate, DefaultsAreThoseOfTransformers) {
  const ChatTemplate chat = parsed(
      "{{ tools is none }} {{ documents is none }} {{ add_generation_prompt }} {{ bos_token is defined }}");
  EXPECT_EQ(rendered(chat, R"({"messages": []})"), "True True False False");
  EXPECT_EQ(rendered(chat, R"({"messages": [], "tools": [], "bos_token": "x"})"), "False True False True");
}

TEST(ChatTemplate, ReasoningIsFoundUnderBothNames) {
  const ChatTemplate chat = parsed(
      "{% for m in messages %}{{ m.keys()|list }}{{ m.thinking }}|{{ m.reasoning_content }};{% endfor %}");
  EXPECT_EQ(
      rendered(
          chat,
          R"({"messages": [{"role": "a", "reasoning": "r"}, {"thinking": "t"}, {"thinking": null, "reasoning_content": "c"}, {"role": "b"}]})"),
      "['thinking', 'role', 'reasoning', 'reasoning_content']r|r;['thinking', 'reasoning_content']t|t;"
      "['thinking', 'reasoning_content']None|c;['role']|;");
}

TEST(ChatTemplate, BadVariablesAreNamed) {
  const ChatTemplate chat = parsed("{{ messages }}");
  EXPECT_EQ(rendered(chat, "[]"), "error: chat template variables must be an object, found array");
  EXPECT_EQ(rendered(chat, R"({"messages": {}})"),
            "error: 'messages' must be an array of objects, found object");
  EXPECT_EQ(rendered(chat, R"({"messages": [{}, "hi"]})"),
            "error: messages[1] must be an object, found string");
  EXPECT_EQ(rendered(parsed("\n{{ raise_exception('no') }}"), R"({"messages": []})"),
            "error: chat template line 2: no");
}

TEST(ChatTemplate, ParseRefusesWhatIsNoTemplate) {
  EXPECT_EQ(ChatTemplate::parse("{% if %}").status().message(),
            "chat template line 1: expected an expression, found '%}'");
  EXPECT_EQ(ChatTemplate::parse("\xff").status().message(), "the chat template is not valid UTF-8");
  EXPECT_EQ(ChatTemplate::parse(std::string(5 << 20, 'x')).status().code(), StatusCode::kResourceExhausted);
}

TEST(ChatTemplate, OneBos) {
  ChatTemplate chat = parsed("{{ bos_token }}{{ messages[0].content }}");
  EXPECT_FALSE(chat.starts_with_bos("<s>hi"));  // it knows no BOS
  chat.set_special_token("bos_token", "<s>");
  EXPECT_EQ(chat.special_token("bos_token"), "<s>");
  const std::string text = rendered(chat, R"({"messages": [{"content": "hi"}]})");
  EXPECT_EQ(text, "<s>hi");
  EXPECT_TRUE(chat.starts_with_bos(text));
  EXPECT_FALSE(chat.starts_with_bos("hi<s>"));
}

TEST(LoadChatTemplate, TokenizerConfig) {
  const Folder folder;
  folder.write("tokenizer_config.json",
               R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "pad_token": null,
                   "chat_template": "{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}"})");
  const auto chat = load_chat_template(folder.path());
  ASSERT_TRUE(chat.ok()) << chat.status().message();
  EXPECT_EQ(rendered(*chat, R"({"messages": []})"), "<s></s>False");
  EXPECT_EQ(rendered(*chat, R"({"messages": [], "bos_token": "!"})"), "!</s>False");
  EXPECT_TRUE(load_chat_template(folder.path("tokenizer_config.json")).ok());
}

TEST(LoadChatTemplate, SeveralTemplates) {
  const Folder folder;
  folder.write("tokenizer_config.json", R"({"chat_template": [{"name": "default", "template": "plain"},
                                            {"name": "tool_use", "template": "tools"}]})");
  const auto chat = load_chat_template(folder.path());
  ASSERT_TRUE(chat.ok()) << chat.status().message();
  EXPECT_EQ(rendered(*chat, R"({"messages": []})"), "plain");
  EXPECT_EQ(rendered(*chat, R"({"messages": [], "tools": null})"), "plain");
  EXPECT_EQ(rendered(*chat, R"({"messages": [], "tools": []})"), "tools");
  RenderOptions options;
  options.template_name = "rag";
  EXPECT_EQ(chat->render(json(R"({"messages": []})"), options).status().message(),
            "no chat template named 'rag'; the checkpoint has 'default', 'tool_use'");
}

TEST(LoadChatTemplate, JinjaFilesComeFirst) {
  const Folder folder;
  folder.write("tokenizer_config.json", R"({"bos_token": "<s>", "chat_template": "old"})");
  folder.write("chat_template.jinja", "new {{ bos_token }}\n");
  folder.write("chat_templates/tool_use.jinja", "with tools");
  const auto chat = load_chat_template(folder.path());
  ASSERT_TRUE(chat.ok()) << chat.status().message();
  EXPECT_EQ(rendered(*chat, R"({"messages": []})"), "new <s>");
  EXPECT_EQ(rendered(*chat, R"({"messages": [], "tools": [1]})"), "with tools");
  const auto file = load_chat_template(folder.path("chat_template.jinja"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(rendered(*file, R"({"messages": []})"), "new <s>");
}

TEST(LoadChatTemplate, ErrorsNameTheFile) {
  const Folder folder;
  const std::string config = folder.path("tokenizer_config.json");
  EXPECT_EQ(load_chat_template(folder.path()).status().code(), StatusCode::kNotFound);
  const auto failure = [&](std::string_view text) {
    folder.write("tokenizer_config.json", text);
    return load_chat_template(folder.path()).status().message();
  };
  EXPECT_EQ(
      failure("{}"),
      config +
          ": no chat template: neither 'chat_template' in tokenizer_config.json nor chat_template.jinja");
  EXPECT_EQ(failure("[]"), config + ": expected an object, found array");
  EXPECT_EQ(failure(R"({"chat_template": 5})"),
            config + ": 'chat_template' must be a string or a list, found integer");
  EXPECT_EQ(failure(R"({"chat_template": [{"name": "x"}]})"),
            config + ": 'chat_template' must list objects with the strings 'name' and 'template'");
  EXPECT_EQ(failure(R"({"chat_template": []})"), config + ": 'chat_template' is an empty list");
  EXPECT_EQ(
      failure(R"({"chat_template": "{{"})"),
      folder.path() + " (default): chat template line 1: expected an expression, found end of template");
}

// Three of huggingface.js' expectations are not what transformers gives: their dates or an older Jinja.
bool differs_from_transformers(const std::string& name) {
  return name == "MadeAgents/Hammer2.1" || name == "ai21labs/AI21-Jamba-Large-1.6" ||
         name == "HuggingFaceTB/SmolLM3-3B";
}

TEST(RealTemplates, HuggingfaceJsCases) {
  const std::string path = base::test_data_folder() + "/chat-templates/hfjs_chat_templates.json";
  if (!base::path_exists(path)) GTEST_SKIP() << path << " is missing";
  const auto cases = base::read_json_file(path);
  ASSERT_TRUE(cases.ok()) << cases.status().message();
  for (const base::Json& row : cases->as_array()) {
    const std::string& name = row.find("name")->as_string();
    const auto chat = ChatTemplate::parse(row.find("chat_template")->as_string());
    ASSERT_TRUE(chat.ok()) << name << ": " << chat.status().message();
    const auto text = chat->render(*row.find("data"), on(2024, 7, 26));
    ASSERT_TRUE(text.ok()) << name << ": " << text.status().message();
    if (!differs_from_transformers(name)) {
      EXPECT_EQ(*text, row.find("target")->as_string()) << name;
    }
  }
}

TEST(RealTemplates, AllParse) {
  const std::string folder = base::test_data_folder() + "/chat-templates/templates";
  if (!base::is_folder(folder)) GTEST_SKIP() << folder << " is missing";
  const auto names = base::list_folder(folder);
  ASSERT_TRUE(names.ok());
  for (const std::string& name : *names) {
    if (!name.ends_with(".jinja")) continue;
    const auto chat = load_chat_template(base::join_path(folder, name));
    EXPECT_TRUE(chat.ok()) << name << ": " << chat.status().message();
  }
}

TEST(RealTemplates, Checkpoints) {
  const std::string variables =
      R"({"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": true})";
  for (const char* name : {"qwen3-tokenizer", "qwen2.5-tokenizer", "llama-tokenizer/llama3"}) {
    const std::string folder = base::test_data_folder() + "/" + name;
    if (!base::is_folder(folder)) GTEST_SKIP() << folder << " is missing";
    const auto chat = load_chat_template(folder);
    ASSERT_TRUE(chat.ok()) << chat.status().message();
    const std::string text = rendered(*chat, variables);
    const bool is_llama = std::string_view(name).starts_with("llama");
    EXPECT_EQ(chat->starts_with_bos(text), is_llama) << text;
    EXPECT_NE(text.find("Hi"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace octavo::text
