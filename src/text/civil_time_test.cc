// Dates against Python's datetime.strftime on glibc, C locale.
#include "text/civil_time.h"

#include <gtest/gtest.h>

namespace octavo::text {
namespace {

TEST(CivilTime, FormatsAsStrftimeDoes) {
  constexpr std::string_view kFormat =
      "%a %A %b %B %c|%C %d %D %e %F %g %G %H %I %j %k %l %m %M %p %P %r %R %S %T %u %U %V %w %W %x %X %y %Y "
      "%-d %-m %-I "
      "%_d %0e %%|%Q|%";
  const std::pair<CivilTime, const char*> cases[] = {
      {{2024, 7, 26, 13, 45, 59},
       "Fri Friday Jul July Fri Jul 26 13:45:59 2024|20 26 07/26/24 26 2024-07-26 24 2024 13 01 208 13  1 07 "
       "45 PM pm 01:45:59 PM 13:45 59 13:45:59 5 29 30 5 30 07/26/24 13:45:59 24 2024 26 7 1 26 26 %|%Q|%"},
      {{2024, 1, 1, 0, 0, 0},
       "Mon Monday Jan January Mon Jan  1 00:00:00 2024|20 01 01/01/24  1 2024-01-01 24 2024 00 12 001  0 12 "
       "01 00 AM am 12:00:00 AM 00:00 00 00:00:00 1 00 01 1 01 01/01/24 00:00:00 24 2024 1 1 12  1 01 "
       "%|%Q|%"},
      {{2023, 1, 1, 12, 0, 5},
       "Sun Sunday Jan January Sun Jan  1 12:00:05 2023|20 01 01/01/23  1 2023-01-01 22 2022 12 12 001 12 12 "
       "01 00 PM pm 12:00:05 PM 12:00 05 12:00:05 7 01 52 0 00 01/01/23 12:00:05 23 2023 1 1 12  1 01 "
       "%|%Q|%"},
      {{2021, 1, 3, 1, 2, 3},
       "Sun Sunday Jan January Sun Jan  3 01:02:03 2021|20 03 01/03/21  3 2021-01-03 20 2020 01 01 003  1  1 "
       "01 02 AM am 01:02:03 AM 01:02 03 01:02:03 7 01 53 0 00 01/03/21 01:02:03 21 2021 3 1 1  3 03 %|%Q|%"},
      {{2020, 12, 31, 23, 59, 59},
       "Thu Thursday Dec December Thu Dec 31 23:59:59 2020|20 31 12/31/20 31 2020-12-31 20 2020 23 11 366 23 "
       "11 12 59 PM pm 11:59:59 PM 23:59 59 23:59:59 4 52 53 4 52 12/31/20 23:59:59 20 2020 31 12 11 31 31 "
       "%|%Q|%"},
      {{2026, 12, 28, 11, 0, 0},
       "Mon Monday Dec December Mon Dec 28 11:00:00 2026|20 28 12/28/26 28 2026-12-28 26 2026 11 11 362 11 "
       "11 12 00 AM am 11:00:00 AM 11:00 00 11:00:00 1 52 53 1 52 12/28/26 11:00:00 26 2026 28 12 11 28 28 "
       "%|%Q|%"},
      {{1999, 12, 31, 0, 0, 0},
       "Fri Friday Dec December Fri Dec 31 00:00:00 1999|19 31 12/31/99 31 1999-12-31 99 1999 00 12 365  0 "
       "12 12 00 AM am 12:00:00 AM 00:00 00 00:00:00 5 52 52 5 52 12/31/99 00:00:00 99 1999 31 12 12 31 31 "
       "%|%Q|%"},
      {{2000, 2, 29, 9, 9, 9},
       "Tue Tuesday Feb February Tue Feb 29 09:09:09 2000|20 29 02/29/00 29 2000-02-29 00 2000 09 09 060  9  "
       "9 02 09 AM am 09:09:09 AM 09:09 09 09:09:09 2 09 09 2 09 02/29/00 09:09:09 00 2000 29 2 9 29 29 "
       "%|%Q|%"},
  };
  for (const auto& [time, expected] : cases) EXPECT_EQ(format_civil_time(time, kFormat), expected);
}

TEST(CivilTime, ParsesDates) {
  const auto time = parse_civil_time("2024-02-29T13:45:59");
  ASSERT_TRUE(time.ok()) << time.status().message();
  EXPECT_EQ(format_civil_time(*time, "%d %B %Y %H:%M:%S"), "29 February 2024 13:45:59");
  EXPECT_EQ(format_civil_time(*parse_civil_time("2024-07-26"), "%F %T"), "2024-07-26 00:00:00");
  EXPECT_EQ(format_civil_time(*parse_civil_time("2024-07-26 09:05"), "%F %T"), "2024-07-26 09:05:00");
}

TEST(CivilTime, RefusesWhatIsNoDate) {
  for (const char* text :
       {"", "today", "2024-7-26", "2024-13-01", "2024-00-01", "2023-02-29", "2024-01-32", "0000-01-01",
        "2024-01-01T24:00", "2024-01-01T10:60", "2024-01-01x10:10", "2024-01-011"}) {
    EXPECT_FALSE(parse_civil_time(text).ok()) << text;
  }
  EXPECT_EQ(parse_civil_time("today").status().message(),
            "'today' is no date: expected YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS");
}

TEST(CivilTime, NowIsADate) {
  const CivilTime now = CivilTime::local_now();
  EXPECT_GE(now.year, 2024);
  EXPECT_TRUE(parse_civil_time(format_civil_time(now, "%FT%T")).ok());
}

}  // namespace
}  // namespace octavo::text
