#include "engine/page_pool.h"

#include <gtest/gtest.h>

#include <random>

namespace octavo::engine {
namespace {

using Tokens = std::vector<int32_t>;

TEST(PagePool, LendsEveryPageOnceAndThenNone) {
  PagePool pool(3, 2);
  const auto a = pool.take(), b = pool.take(), c = pool.take();
  ASSERT_TRUE(a && b && c);
  EXPECT_TRUE(*a != *b && *b != *c && *a != *c);
  EXPECT_FALSE(pool.take());
  pool.hold(*b);
  pool.release(*b);
  EXPECT_EQ(pool.n_available(), 0);
  pool.release(*b);
  EXPECT_EQ(pool.take(), b);
  EXPECT_TRUE(pool.books_balance());
}

TEST(PagePool, FindsAPageByItsTokensAndAllBeforeThem) {
  PagePool pool(4, 2);
  const int32_t first = *pool.take(), second = *pool.take(), other = *pool.take();
  const Chain chain = pool.publish(first, kNoChain, Tokens{1, 2});
  const Chain next = pool.publish(second, chain, Tokens{3, 4});
  EXPECT_EQ(pool.find(kNoChain, Tokens{1, 2})->page, first);
  EXPECT_EQ(pool.find(chain, Tokens{3, 4})->page, second);
  EXPECT_EQ(pool.find(chain, Tokens{3, 4})->chain, next);
  EXPECT_FALSE(pool.find(kNoChain, Tokens{3, 4}));
  EXPECT_FALSE(pool.find(next, Tokens{3, 4}));
  EXPECT_EQ(pool.publish(other, kNoChain, Tokens{1, 2}), chain) << "the page that came first stands for both";
  for (const int32_t page : {first, second, other}) pool.release(page);
  EXPECT_EQ(pool.n_available(), 4);
  EXPECT_TRUE(pool.find(kNoChain, Tokens{1, 2})) << "released, and still there";
  EXPECT_TRUE(pool.books_balance());
}

TEST(PagePool, ForgetsWhatWasReleasedFirst) {
  PagePool pool(2, 1);
  const int32_t a = *pool.take(), b = *pool.take();
  pool.publish(a, kNoChain, Tokens{1});
  pool.publish(b, kNoChain, Tokens{2});
  pool.release(b);
  pool.release(a);
  EXPECT_EQ(pool.take(), b);
  EXPECT_FALSE(pool.find(kNoChain, Tokens{2}));
  pool.hold(pool.find(kNoChain, Tokens{1})->page);
  EXPECT_FALSE(pool.take()) << "what is held again is not lent";
}

TEST(PagePool, BooksBalanceThroughAnyHistory) {
  std::mt19937 random(1);
  PagePool pool(20, 1);
  std::vector<int32_t> held;
  for (int i = 0; i < 20'000; ++i) {
    const auto draw = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
    if (draw(2) == 0) {
      const Tokens tokens{static_cast<int32_t>(draw(30))};
      if (const auto hit = pool.find(kNoChain, tokens)) {
        pool.hold(hit->page);
        held.push_back(hit->page);
      } else if (const auto page = pool.take()) {
        held.push_back(*page);
        if (draw(3) > 0) pool.publish(*page, kNoChain, tokens);
      } else {
        EXPECT_EQ(pool.n_available(), 0);
      }
    } else if (!held.empty()) {
      const size_t at = draw(held.size());
      pool.release(held[at]);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
    }
    ASSERT_TRUE(pool.books_balance()) << i;
  }
}

}  // namespace
}  // namespace octavo::engine
