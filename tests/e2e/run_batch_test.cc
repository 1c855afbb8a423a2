// octavo run-batch: a file of requests in, an answer each out, whatever happens on the way.
#include <gtest/gtest.h>
#include <sys/file.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <regex>

#include "program.h"

namespace octavo::e2e {
namespace {

namespace fs = std::filesystem;
using base::Json;

std::string line_of(const std::string& name, const std::string& url, const std::string& members) {
  return R"({"custom_id":")" + name + R"(","method":"POST","url":")" + url + R"(","body":{)" + members +
         "}}\n";
}
std::string chat(const std::string& name, const std::string& text, const std::string& members) {
  return line_of(name, "/v1/chat/completions",
                 R"("messages":[{"role":"user","content":")" + text + R"("}],)" + members);
}
std::string completion(const std::string& name, const std::string& prompt, const std::string& members) {
  return line_of(name, "/v1/completions", R"("prompt":")" + prompt + R"(",)" + members);
}

// Requests of all kinds: greedy, sampled with and without a seed, several choices, log-probabilities, wrong
// ones.
std::string many_requests(int n) {
  std::string text;
  for (int i = 0; i < n; ++i) {
    const std::string name = "r" + std::to_string(i);
    const std::string max_tokens = "\"max_tokens\":" + std::to_string(1 + i * 7 % 24);
    switch (i % 6) {
      case 0:
        text += chat(name, "Tell me of " + name, "\"temperature\":0," + max_tokens);
        break;
      case 1:
        text += completion(name, "The old man", max_tokens);
        break;
      case 2:
        text += completion(name, "It was a dark", "\"n\":2,\"seed\":5," + max_tokens);
        break;
      case 3:
        text += chat(name, "Hello", "\"logprobs\":true,\"top_logprobs\":3," + max_tokens);
        break;
      case 4:
        text += completion(name, "x", "\"top_p\":7");
        break;
      default:
        text += "\n" + completion(name, "A longer beginning of a tale, that", max_tokens);
    }
  }
  return text;
}

std::vector<std::string> command(const std::string& in, const std::string& out) {
  return {"run-batch", demo_model(), "-i", in, "-o", out, "--max-num-seqs", "8", "--threads", "2"};
}

// The text without what differs between two runs: when the batch was begun, and what of a prompt was cached.
std::string without_chance(const std::string& answers) {
  return std::regex_replace(answers, std::regex("\"(created|cached_tokens)\":[0-9]+"), "\"$1\":0");
}

uint64_t size_of(const std::string& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(RunBatch, AnswersAreThoseOfGenerate) {
  const TemporaryFolder folder;
  write_text(folder / "in",
             chat("a", "Hi", R"("temperature":0,"max_tokens":12)") +
                 completion("b", "The old man", R"("seed":3,"temperature":0.8,"max_tokens":12)"));
  const Outcome outcome = run_octavo(command(folder / "in", folder / "out"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("2 requests answered, 0 with an error"), std::string::npos) << outcome.err;
  const auto answers = json_lines(read_text(folder / "out"));
  ASSERT_EQ(answers.size(), 2U);
  const auto generated = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"generate", demo_model(), "--json", "--max-tokens", "12"});
    return *json_of(run_octavo(arguments).out).find("text");
  };
  const auto choice = [&](size_t i) {
    return answers[i].find("response")->find("body")->find("choices")->as_array().at(0);
  };
  EXPECT_EQ(*choice(0).find("message")->find("content"), generated({"--chat", "Hi", "--greedy"}));
  EXPECT_EQ(*choice(1).find("text"),
            generated({"--prompt", "The old man", "--seed", "3", "--temperature", "0.8"}));
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"in", "out"}));
}

TEST(RunBatch, BadLinesAreAnsweredInTheirPlace) {
  const TemporaryFolder folder;
  write_text(folder / "in", "\xEF\xBB\xBF" + completion("a", "x", R"("max_tokens":1)") + "{\n\r\n  \n" +
                                completion("caf\xe9", "x", R"("n":1)") +
                                completion("a", "twice", R"("n":1)") +
                                completion("c", "x", R"("temprature":1)") + "{\"custom_id\":\"d\"}\r\n" +
                                completion("e", "last", R"("max_tokens":1)"));
  const Outcome outcome = run_octavo(command(folder / "in", folder / "out"));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.err.find("7 requests answered, 5 with an error"), std::string::npos) << outcome.err;
  const auto answers = json_lines(read_text(folder / "out"));
  ASSERT_EQ(answers.size(), 7U);
  const std::vector<Json> names = {"a", nullptr, nullptr, "a", "c", "d", "e"};
  for (size_t i = 0; i < answers.size(); ++i) {
    const bool is_good = i == 0 || i == 6;
    EXPECT_EQ(*answers[i].find("custom_id"), names[i]);
    EXPECT_EQ(*answers[i].find("response")->find("status_code"), Json(is_good ? 200 : 400));
    EXPECT_EQ(answers[i].find("error")->is_null(), is_good);
  }
  EXPECT_EQ(*answers[3].find("error")->find("message"),
            Json("custom_id: 'a' names the request of line 1 already; each request needs its own"));
}

// The acceptance of the whole command: killed at random moments, it ends with every request answered once,
// and with the bytes of a run that nobody disturbed. Killed while it reads, answers, and puts the answers
// together.
TEST(RunBatch, KilledAtAnyMomentItGoesOn) {
  const TemporaryFolder folder, calm;
  constexpr int kRequests = 180;
  write_text(folder / "in", many_requests(kRequests));
  write_text(calm / "in", many_requests(kRequests));
  const Outcome whole = run_octavo(command(calm / "in", calm / "out"));
  EXPECT_EQ(whole.exit_code, 1);  // some requests are wrong
  const std::string expected = read_text(calm / "out");

  const std::string out = folder / "out", journal = folder / "out.partial";
  std::mt19937 random(20261123);  // the moments also depend on the machine, and are never the same twice
  const auto up_to = [&](uint64_t limit) {
    return std::uniform_int_distribution<uint64_t>(0, limit)(random);
  };
  int n_kills = 0, n_in_journal = 0;
  for (int i = 0; i < 30; ++i) {
    // Two in three: once the journal has grown by some bytes. The others: after some time.
    const uint64_t target_bytes = size_of(journal) + 1 + up_to(expected.size() / 20);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(up_to(250));
    RunOptions options;
    options.kill_when = [&] {
      return i % 3 == 0 ? std::chrono::steady_clock::now() >= deadline : size_of(journal) >= target_bytes;
    };
    const Outcome outcome = run_octavo(command(folder / "in", out), options);
    if (outcome.exit_code != 128 + SIGKILL) break;  // it was whole before
    ++n_kills;
    n_in_journal += size_of(journal) > 0 && !fs::exists(out) ? 1 : 0;
  }
  // All answered but the last lines: now it is killed while it puts the answers together.
  for (int i = 0; i < 10; ++i) {
    const uint64_t nearly_all = expected.size() - up_to(expected.size() / 50);
    const auto pause = std::chrono::microseconds(up_to(4000));
    std::chrono::steady_clock::time_point reached{};
    RunOptions options;
    options.kill_when = [&] {
      const auto now = std::chrono::steady_clock::now();
      const bool is_near = size_of(journal) >= nearly_all || fs::exists(out);
      if (is_near && reached == std::chrono::steady_clock::time_point{}) reached = now;
      return is_near && now - reached >= pause;
    };
    n_kills += run_octavo(command(folder / "in", out), options).exit_code == 128 + SIGKILL ? 1 : 0;
  }
  const Outcome last = run_octavo(command(folder / "in", out));
  EXPECT_EQ(last.exit_code, 1) << last.err;
  EXPECT_EQ(without_chance(read_text(out)), without_chance(expected));
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"in", "out"}));
  std::printf("%d kills, %d of them left a journal\n", n_kills, n_in_journal);
  EXPECT_GE(n_kills, 20);
  EXPECT_GE(n_in_journal, 10);
}

TEST(RunBatch, AnInterruptKeepsWhatIsDone) {
  const TemporaryFolder folder;
  write_text(folder / "in", many_requests(400));
  RunOptions options;
  options.send_interrupt_after_output = "of 400 requests";
  const Outcome stopped = run_octavo(command(folder / "in", folder / "out"), options);
  EXPECT_EQ(stopped.exit_code, 130) << stopped.err;
  EXPECT_NE(stopped.err.find("the same command goes on from there"), std::string::npos) << stopped.err;
  EXPECT_FALSE(fs::exists(folder / "out"));
  EXPECT_TRUE(fs::exists(folder / "out.partial"));
  const Outcome finished = run_octavo(command(folder / "in", folder / "out"));
  EXPECT_EQ(finished.exit_code, 1) << finished.err;
  EXPECT_EQ(json_lines(read_text(folder / "out")).size(), 400U);
}

TEST(RunBatch, AFullDiskIsAnErrorAndTheRestFollows) {
  const TemporaryFolder folder;
  write_text(folder / "in", many_requests(30));
  RunOptions small_disk;
  small_disk.file_limit_bytes = 4096;
  const Outcome full = run_octavo(command(folder / "in", folder / "out"), small_disk);
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_NE(full.err.find("cannot write '" + (folder / "out.partial") + "'"), std::string::npos) << full.err;
  EXPECT_LE(size_of(folder / "out.partial"), 4096U);
  EXPECT_EQ(run_octavo(command(folder / "in", folder / "out")).exit_code, 1);
  EXPECT_EQ(json_lines(read_text(folder / "out")).size(), 30U);
}

TEST(RunBatch, ADoneBatchIsLeftAsItIs) {
  const TemporaryFolder folder;
  write_text(folder / "in", completion("a", "x", R"("max_tokens":2)"));
  EXPECT_EQ(run_octavo(command(folder / "in", folder / "out")).exit_code, 0);
  const std::string answers = read_text(folder / "out");
  const Outcome again = run_octavo(command(folder / "in", folder / "out"));
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(again.err.find("nothing to do"), std::string::npos) << again.err;
  EXPECT_EQ(read_text(folder / "out"), answers);
  auto other_seed = command(folder / "in", folder / "out");
  other_seed.insert(other_seed.end(), {"--seed", "1"});
  const Outcome refused = run_octavo(other_seed);
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_NE(refused.err.find("exists and does not hold the answers to"), std::string::npos) << refused.err;
  EXPECT_EQ(read_text(folder / "out"), answers);
}

// A journal of 400 requests, most of which wait.
void begin_batch(const TemporaryFolder& folder) {
  write_text(folder / "in", many_requests(400));
  RunOptions options;
  options.kill_when = [&] { return size_of(folder / "out.partial") > 5000; };
  EXPECT_EQ(run_octavo(command(folder / "in", folder / "out"), options).exit_code, 128 + SIGKILL);
}

TEST(RunBatch, AnotherInputOrOtherOptionsDoNotMix) {
  const TemporaryFolder folder;
  begin_batch(folder);
  const std::string requests = read_text(folder / "in");
  const auto refusal = [&](std::vector<std::string> more = {}) {
    auto words = command(folder / "in", folder / "out");
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = run_octavo(words);
    EXPECT_NE(outcome.exit_code, 0);
    EXPECT_FALSE(fs::exists(folder / "out"));
    return outcome.err;
  };
  write_text(folder / "in", "\n" + requests);
  EXPECT_NE(refusal().find("holds the answer to another line"), std::string::npos);
  write_text(folder / "in", "");
  EXPECT_NE(refusal().find("ends before"), std::string::npos);
  write_text(folder / "in", requests);
  EXPECT_NE(refusal({"--seed", "1"}).find(R"(was begun with seed "0", this command has "1")"),
            std::string::npos);
  // More requests at the end are only more to do.
  write_text(folder / "in", requests + completion("new", "x", R"("max_tokens":1)"));
  EXPECT_EQ(run_octavo(command(folder / "in", folder / "out")).exit_code, 1);
  EXPECT_EQ(json_lines(read_text(folder / "out")).size(), 401U);
}

TEST(RunBatch, TwoRunsDoNotShareAnOutput) {
  const TemporaryFolder folder;
  write_text(folder / "in", many_requests(3));
  write_text(folder / "out.partial", "");
  const int other = open((folder / "out.partial").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(other, LOCK_EX), 0);
  const Outcome outcome = run_octavo(command(folder / "in", folder / "out"));
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.err.find("in use by another process"), std::string::npos) << outcome.err;
  close(other);
}

TEST(RunBatch, PathsThatMakeNoSense) {
  const TemporaryFolder folder;
  const std::string in = folder / "in";
  write_text(in, completion("a", "x", R"("max_tokens":1)"));
  const auto exit_code = [](const std::string& from, const std::string& to) {
    const Outcome outcome = run_octavo(command(from, to));
    EXPECT_EQ(outcome.err.find("octavo: error: "), 0U) << outcome.err;
    return outcome.exit_code;
  };
  EXPECT_EQ(exit_code(in, in), 2);
  EXPECT_EQ(exit_code(in, folder.path()), 2);
  EXPECT_EQ(exit_code(in, "/dev/null"), 2);
  EXPECT_EQ(exit_code(in, "-"), 2);
  EXPECT_EQ(exit_code("-", folder / "out"), 2);
  EXPECT_EQ(exit_code(folder / "none", folder / "out"), 1);
  EXPECT_EQ(exit_code("/dev/zero", folder / "out"), 1);
  EXPECT_EQ(exit_code(in, folder / "no/such/folder"), 1);
  fs::create_symlink(in, folder / "link.partial");
  EXPECT_EQ(exit_code(in, folder / "link"), 2);
  EXPECT_EQ(read_text(in), completion("a", "x", R"("max_tokens":1)"));
  write_text(folder / "mine.partial", "precious\n");
  EXPECT_EQ(exit_code(in, folder / "mine"), 1);
  EXPECT_EQ(read_text(folder / "mine.partial"), "precious\n");
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"in", "link.partial", "mine.partial"}));
}

TEST(RunBatch, AnUnwritableFolder) {
  const TemporaryFolder folder;
  write_text(folder / "in", "");
  fs::permissions(folder.path(), fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read |
                                     fs::perms::others_exec | fs::perms::group_exec);
  RunOptions options;
  options.unprivileged = true;
  const Outcome outcome = run_octavo(command(folder / "in", folder / "out"), options);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.err.find("Permission denied"), std::string::npos) << outcome.err;
  fs::permissions(folder.path(), fs::perms::owner_all);
}

TEST(RunBatch, NothingToAnswer) {
  const TemporaryFolder folder;
  write_text(folder / "in", "\n \r\n");
  EXPECT_EQ(run_octavo(command(folder / "in", folder / "out")).exit_code, 0);
  EXPECT_EQ(read_text(folder / "out"), "");
}

TEST(RunBatch, AVeryLongLineIsAnErrorInItsPlace) {
  const TemporaryFolder folder;
  {
    std::ofstream file(folder / "in", std::ios::binary);
    const std::string piece(size_t{1} << 20, 'x');
    file << R"({"custom_id":")";
    for (int i = 0; i < 100; ++i) file << piece;
    file << "\"}\n" << completion("b", "x", R"("max_tokens":1)");
  }
  EXPECT_EQ(run_octavo(command(folder / "in", folder / "out")).exit_code, 1);
  const auto answers = json_lines(read_text(folder / "out"));
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(*answers[0].find("error")->find("message"), Json("the line is longer than 64.0 MiB"));
  EXPECT_TRUE(answers[1].find("error")->is_null());
}

TEST(RunBatch, AModelThatIsNotServedIsAnErrorWhereNamesAreGiven) {
  const TemporaryFolder folder;
  write_text(folder / "in", completion("a", "x", R"("model":"other","max_tokens":1)") +
                                completion("b", "x", R"("model":"mine","max_tokens":1)"));
  auto words = command(folder / "in", folder / "out");
  words.insert(words.end(), {"--served-model-name", "mine"});
  EXPECT_EQ(run_octavo(words).exit_code, 1);
  const auto answers = json_lines(read_text(folder / "out"));
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(*answers[0].find("response")->find("status_code"), Json(404));
  EXPECT_EQ(*answers[1].find("response")->find("body")->find("model"), Json("mine"));
  EXPECT_EQ(run_octavo(command(folder / "in", folder / "any")).exit_code, 0);
}

}  // namespace
}  // namespace octavo::e2e
