// Reference counts and the prefix cache: hash lists and a list of idle pages, both threaded through the pages
// themselves. Called by engine/batch_engine.cc on its thread.
#include "engine/page_pool.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace octavo::engine {

PagePool::PagePool(int64_t n_pages, int64_t page_tokens)
    : page_tokens_(static_cast<size_t>(page_tokens)),
      pages_(static_cast<size_t>(n_pages)),
      tokens_(pages_.size() * page_tokens_),
      buckets_(std::bit_ceil(2 * pages_.size() + 1), kNone) {
  free_.reserve(pages_.size());
  for (int64_t page = n_pages; page-- > 0;) free_.push_back(static_cast<int32_t>(page));
}

std::optional<int32_t> PagePool::take() {
  if (free_.empty() && first_idle_ == kNone) return std::nullopt;
  if (free_.empty()) unpublish(first_idle_);
  const int32_t page = free_.back();
  free_.pop_back();
  page_at(page).n_holders = 1;
  return page;
}

void PagePool::hold(int32_t page) {
  Page& entry = page_at(page);
  OCTAVO_CHECK(entry.n_holders > 0 || entry.chain != kNoChain);
  if (entry.n_holders++ == 0) leave_idle(page);
}

void PagePool::release(int32_t page) {
  Page& entry = page_at(page);
  OCTAVO_CHECK(entry.n_holders > 0);
  if (--entry.n_holders > 0) return;
  if (entry.chain == kNoChain) {
    free_.push_back(page);
  } else {
    make_idle(page);
  }
}

Chain PagePool::publish(int32_t page, Chain before, std::span<const int32_t> tokens) {
  OCTAVO_CHECK(tokens.size() == page_tokens_);
  if (const auto known = find(before, tokens)) return known->chain;
  Page& entry = page_at(page);
  OCTAVO_CHECK(entry.n_holders > 0 && entry.chain == kNoChain);
  entry.chain = ++last_chain_;
  entry.before = before;
  std::ranges::copy(tokens, tokens_of(page).begin());
  int32_t& first = buckets_[bucket(before, tokens)];
  entry.next_in_bucket = first;
  first = page;
  return entry.chain;
}

std::optional<PagePool::Hit> PagePool::find(Chain before, std::span<const int32_t> tokens) const {
  int32_t page = buckets_[bucket(before, tokens)];
  while (page != kNone) {
    const Page& entry = pages_[static_cast<size_t>(page)];
    if (entry.before == before && std::ranges::equal(tokens_of(page), tokens)) return Hit{page, entry.chain};
    page = entry.next_in_bucket;
  }
  return std::nullopt;
}

std::span<int32_t> PagePool::tokens_of(int32_t page) {
  return std::span(tokens_).subspan(static_cast<size_t>(page) * page_tokens_, page_tokens_);
}

std::span<const int32_t> PagePool::tokens_of(int32_t page) const {
  return std::span(tokens_).subspan(static_cast<size_t>(page) * page_tokens_, page_tokens_);
}

size_t PagePool::bucket(Chain before, std::span<const int32_t> tokens) const {
  uint64_t sum = before * 0x9E3779B97F4A7C15ULL;
  for (const int32_t token : tokens) {
    sum = (sum ^ static_cast<uint32_t>(token)) * 0x100000001B3ULL;
    sum ^= sum >> 29;
  }
  return static_cast<size_t>(sum) & (buckets_.size() - 1);
}

void PagePool::make_idle(int32_t page) {
  Page& entry = page_at(page);
  entry.earlier_idle = last_idle_;
  entry.later_idle = kNone;
  (last_idle_ == kNone ? first_idle_ : page_at(last_idle_).later_idle) = page;
  last_idle_ = page;
  ++n_idle_;
}

void PagePool::leave_idle(int32_t page) {
  const Page& entry = page_at(page);
  (entry.earlier_idle == kNone ? first_idle_ : page_at(entry.earlier_idle).later_idle) = entry.later_idle;
  (entry.later_idle == kNone ? last_idle_ : page_at(entry.later_idle).earlier_idle) = entry.earlier_idle;
  --n_idle_;
}

void PagePool::unpublish(int32_t page) {
  Page& entry = page_at(page);
  int32_t* link = &buckets_[bucket(entry.before, tokens_of(page))];
  while (*link != page) link = &page_at(*link).next_in_bucket;
  *link = entry.next_in_bucket;
  leave_idle(page);
  entry.chain = entry.before = kNoChain;
  free_.push_back(page);
}

bool PagePool::books_balance() const {
  int64_t n_held = 0, n_published = 0, n_findable = 0, n_listed = 0;
  for (size_t i = 0; i < pages_.size(); ++i) {
    const Page& entry = pages_[i];
    const auto page = static_cast<int32_t>(i);
    n_held += entry.n_holders > 0 ? 1 : 0;
    if (entry.chain == kNoChain) continue;
    ++n_published;
    const auto found = find(entry.before, tokens_of(page));
    n_findable += found && found->page == page ? 1 : 0;
  }
  for (int32_t page = first_idle_; page != kNone; page = pages_[static_cast<size_t>(page)].later_idle) {
    n_listed += pages_[static_cast<size_t>(page)].n_holders == 0 ? 1 : 0;
  }
  const bool free_are_free = std::ranges::all_of(free_, [&](int32_t page) {
    const Page& entry = pages_[static_cast<size_t>(page)];
    return entry.n_holders == 0 && entry.chain == kNoChain;
  });
  return free_are_free && n_published == n_findable && n_listed == n_idle_ &&
         n_held + static_cast<int64_t>(free_.size()) + n_idle_ == n_pages();
}

}  // namespace octavo::engine
