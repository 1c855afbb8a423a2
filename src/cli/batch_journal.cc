// The journal of `octavo run-batch`. Called by cmd_run_batch.cc and batch_runner.cc.
#include "cli/batch_journal.h"

#include <charconv>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text_format.h"
#include "cli/line_reader.h"

namespace octavo::cli {

namespace {

constexpr std::string_view kMagic = "octavo run-batch 1 ";
constexpr size_t kMaxRecordBytes = BatchJournal::kMaxAnswerBytes + 256;
constexpr auto kSyncInterval = std::chrono::seconds(1);

// The word up to the next space, and the rest after it.
std::string_view take_word(std::string_view& text) {
  const size_t end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

bool read_number(std::string_view word, int base, uint64_t& number) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number, base);
  return error == std::errc() && end == word.data() + word.size() && !word.empty();
}

std::string checksum(std::string_view head, std::string_view answer) {
  return base::hex(base::Hash().add(head).add(answer).value());
}

}  // namespace

Result<BatchJournal> BatchJournal::open(const std::string& path) {
  OCTAVO_ASSIGN_OR_RETURN(base::AppendFile file, base::AppendFile::open(path));
  BatchJournal journal(std::move(file));
  OCTAVO_RETURN_IF_ERROR(journal.load());
  return journal;
}

Status BatchJournal::load() {
  const uint64_t size_bytes = file_.size_bytes();
  if (size_bytes == 0) return {};
  OCTAVO_ASSIGN_OR_RETURN(const base::InputFile file, base::InputFile::open(file_.path()));
  LineReader lines(file, kMaxRecordBytes);
  Line line;
  OCTAVO_RETURN_IF_ERROR(lines.next(line).status());
  const bool is_torn = !line.has_end && (line.text.starts_with(kMagic) || kMagic.starts_with(line.text));
  if (!is_torn && !line.text.starts_with(kMagic)) {
    return invalid_argument(base::quoted(file_.path()) +
                            " is not the work file of a batch; move it, or choose another output");
  }
  uint64_t whole_bytes = 0;
  if (!is_torn) {
    auto header = base::parse_json(line.text.substr(kMagic.size()));
    if (!header.ok()) return header.status().with_context(file_.path());
    header_ = *std::move(header);
    for (;;) {
      whole_bytes = line.end;
      OCTAVO_ASSIGN_OR_RETURN(const bool is_there, lines.next(line));
      if (!is_there || !line.has_end || line.is_too_long || !load_record(line.text, line.begin)) break;
    }
  }
  n_cut_bytes_ = size_bytes - whole_bytes;
  return n_cut_bytes_ > 0 ? file_.cut(whole_bytes) : Status();
}

bool BatchJournal::load_record(std::string_view record, uint64_t offset) {
  std::string_view rest = record;
  uint64_t line = 0;
  Place place;
  if (!read_number(take_word(rest), 10, line) || !read_number(take_word(rest), 16, place.line_hash)) {
    return false;
  }
  const bool failed = take_word(rest) == "failed";
  const std::string_view head = record.substr(0, record.size() - rest.size());
  const std::string_view expected = take_word(rest);
  if (line == 0 || expected != checksum(head, rest)) return false;
  place.offset = offset + (record.size() - rest.size());
  place.n_bytes = rest.size();
  if (!places_.emplace(line, place).second) return false;
  n_failed_ += failed ? 1 : 0;
  last_line_ = std::max(last_line_, line);
  return true;
}

Status BatchJournal::begin(const base::Json& header) {
  OCTAVO_RETURN_IF_ERROR(file_.append(std::string(kMagic) + header.dump() + "\n"));
  header_ = header;
  OCTAVO_RETURN_IF_ERROR(file_.sync());
  return base::sync_name(file_.path());
}

const BatchJournal::Place* BatchJournal::find(uint64_t line) const {
  const auto found = places_.find(line);
  return found == places_.end() ? nullptr : &found->second;
}

Status BatchJournal::append(uint64_t line, uint64_t line_hash, bool failed, std::string_view answer) {
  OCTAVO_CHECK(answer.size() <= kMaxAnswerBytes);
  std::string record = std::to_string(line) + " " + base::hex(line_hash) + (failed ? " failed " : " ok ");
  record += checksum(record, answer) + " ";
  const Place place{
      .offset = file_.size_bytes() + record.size(), .n_bytes = answer.size(), .line_hash = line_hash};
  record.append(answer).push_back('\n');
  OCTAVO_RETURN_IF_ERROR(file_.append(record));
  places_.emplace(line, place);
  n_failed_ += failed ? 1 : 0;
  last_line_ = std::max(last_line_, line);
  const auto now = std::chrono::steady_clock::now();
  if (now - last_sync_ < kSyncInterval) return {};
  last_sync_ = now;
  return file_.sync();
}

Result<std::string> BatchJournal::read(const Place& place) const {
  std::string answer(place.n_bytes, '\0');
  OCTAVO_RETURN_IF_ERROR(file_.read(place.offset, answer.data(), answer.size()));
  return answer;
}

}  // namespace octavo::cli
