#pragma once
// A date and time of day as the clock on the wall shows it, and its text: what templates print as "today".
#include <string>
#include <string_view>

#include "octavo/status.h"

namespace octavo::text {

struct CivilTime {
  int year = 1970, month = 1, day = 1;  // month and day from 1
  int hour = 0, minute = 0, second = 0;

  static CivilTime local_now();
};

// "2024-07-26", "2024-07-26T13:45" or "2024-07-26T13:45:59" (a space may stand for the T).
Result<CivilTime> parse_civil_time(std::string_view text);

// strftime in the C locale, for years 1 to 9999; unknown directives stay as they are. There is no zone: %Z
// and %z are empty, as for Python's naive datetime.
std::string format_civil_time(const CivilTime& time, std::string_view format);

}  // namespace octavo::text
