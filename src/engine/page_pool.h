#pragma once
// Who holds which page of keys and values (model/kv_cache.h), and which full pages may be used again because
// they hold the beginning of another sequence. Books only: no memory, no thread.
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace octavo::engine {

// A full page as its content is known: the page before it (its Chain, kNoChain at a sequence's beginning) and
// its own tokens. Chains are numbered, never reused, and compared token by token, so a hit is never a
// mistake.
using Chain = uint64_t;
inline constexpr Chain kNoChain = 0;

class PagePool {
 public:
  PagePool(int64_t n_pages, int64_t page_tokens);

  // A page that nobody holds, for the caller to fill; the least recently used cached one when no other is
  // left. Nothing when every page is held.
  std::optional<int32_t> take();
  void hold(int32_t page);
  void release(int32_t page);  // a published page stays findable until take() wants it

  // `page`, held by the caller, is full of `tokens` [page_tokens] after `before`. Returns its chain: the one
  // of an equal page that was published first, if there is one.
  Chain publish(int32_t page, Chain before, std::span<const int32_t> tokens);
  struct Hit {
    int32_t page;
    Chain chain;
  };
  std::optional<Hit> find(Chain before, std::span<const int32_t> tokens) const;

  int64_t n_pages() const { return static_cast<int64_t>(pages_.size()); }
  int64_t n_available() const { return static_cast<int64_t>(free_.size()) + n_idle_; }
  int32_t n_holders(int32_t page) const { return pages_[static_cast<size_t>(page)].n_holders; }
  // Invariants, for tests: every page is held, free or idle, and what is findable exists.
  bool books_balance() const;

 private:
  static constexpr int32_t kNone = -1;
  struct Page {
    int32_t n_holders = 0;
    Chain chain = kNoChain, before = kNoChain;         // chain: kNoChain unless published
    int32_t next_in_bucket = kNone;                    // while published
    int32_t earlier_idle = kNone, later_idle = kNone;  // while published and not held
  };
  Page& page_at(int32_t page) { return pages_[static_cast<size_t>(page)]; }
  std::span<int32_t> tokens_of(int32_t page);
  std::span<const int32_t> tokens_of(int32_t page) const;
  size_t bucket(Chain before, std::span<const int32_t> tokens) const;
  void make_idle(int32_t page);
  void leave_idle(int32_t page);
  void unpublish(int32_t page);

  // Everything is allocated at once: the books are kept inside the step loop.
  size_t page_tokens_;
  std::vector<Page> pages_;
  std::vector<int32_t> tokens_;                     // [n_pages, page_tokens], of published pages
  std::vector<int32_t> buckets_;                    // published pages by hash: the first of each list
  std::vector<int32_t> free_;                       // neither held nor published
  int32_t first_idle_ = kNone, last_idle_ = kNone;  // published and not held, least recently used first
  int64_t n_idle_ = 0;
  Chain last_chain_ = kNoChain;
};

}  // namespace octavo::engine
