// Dates for templates that print "today" (strftime_now of transformers). Own formatting instead of the C
// library's strftime: no locale, no widths, no buffer to outgrow. Called by chat_template.cc and
// jinja/functions.cc.
#include "text/civil_time.h"

#include <cctype>
#include <cstdio>
#include <ctime>

namespace octavo::text {
namespace {

constexpr const char* kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                 "Thursday", "Friday", "Saturday"};
constexpr const char* kMonths[] = {"January", "February", "March",     "April",   "May",      "June",
                                   "July",    "August",   "September", "October", "November", "December"};

bool is_leap(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

int days_in_month(int year, int month) {
  static constexpr int kDaysOf[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return kDaysOf[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

int day_of_year(const CivilTime& time) {  // from 1
  int day = time.day;
  for (int month = 1; month < time.month; ++month) day += days_in_month(time.year, month);
  return day;
}

// 0 is Sunday. January 1 of year 1 was a Monday; years before `year` hold 365 days each and one more per leap
// year.
int day_of_week(const CivilTime& time) {
  const int before = time.year - 1;
  return (before * 365 + before / 4 - before / 100 + before / 400 + day_of_year(time)) % 7;
}

int iso_weeks_in_year(int year) {
  const int first = day_of_week({year, 1, 1});
  return first == 4 || (first == 3 && is_leap(year)) ? 53 : 52;
}

struct IsoWeek {
  int year, week;
};

IsoWeek iso_week(const CivilTime& time) {
  const int weekday = (day_of_week(time) + 6) % 7 + 1;  // Monday is 1
  const int week = (day_of_year(time) - weekday + 10) / 7;
  if (week < 1) return {time.year - 1, iso_weeks_in_year(time.year - 1)};
  if (week > iso_weeks_in_year(time.year)) return {time.year + 1, 1};
  return {time.year, week};
}

std::string number(int value, int width, char pad) {
  std::string digits = std::to_string(value);
  const auto n_missing = static_cast<int>(width) - static_cast<int>(digits.size());
  return n_missing > 0 ? std::string(static_cast<size_t>(n_missing), pad) + digits : digits;
}

// The text of one directive; `pad` 0 means the directive's own padding, '-' none. False: no such directive.
bool append_directive(std::string* out, const CivilTime& t, char directive, char pad) {
  const auto put = [&](int value, int width, char own_pad) {
    *out += number(value, pad == '-' ? 0 : width, pad == 0 || pad == '-' ? own_pad : pad == '_' ? ' ' : '0');
  };
  const int weekday = day_of_week(t);
  const int hour12 = t.hour % 12 == 0 ? 12 : t.hour % 12;
  switch (directive) {
    case 'a':
      *out += std::string(kDays[weekday], 3);
      return true;
    case 'A':
      *out += kDays[weekday];
      return true;
    case 'b':
    case 'h':
      *out += std::string(kMonths[t.month - 1], 3);
      return true;
    case 'B':
      *out += kMonths[t.month - 1];
      return true;
    case 'c':
      *out += format_civil_time(t, "%a %b %e %H:%M:%S %Y");
      return true;
    case 'C':
      put(t.year / 100, 2, '0');
      return true;
    case 'd':
      put(t.day, 2, '0');
      return true;
    case 'D':
    case 'x':
      *out += format_civil_time(t, "%m/%d/%y");
      return true;
    case 'e':
      put(t.day, 2, ' ');
      return true;
    case 'f':
      *out += "000000";
      return true;
    case 'F':
      *out += format_civil_time(t, "%Y-%m-%d");
      return true;
    case 'g':
      put(iso_week(t).year % 100, 2, '0');
      return true;
    case 'G':
      put(iso_week(t).year, 4, '0');
      return true;
    case 'H':
      put(t.hour, 2, '0');
      return true;
    case 'I':
      put(hour12, 2, '0');
      return true;
    case 'j':
      put(day_of_year(t), 3, '0');
      return true;
    case 'k':
      put(t.hour, 2, ' ');
      return true;
    case 'l':
      put(hour12, 2, ' ');
      return true;
    case 'm':
      put(t.month, 2, '0');
      return true;
    case 'M':
      put(t.minute, 2, '0');
      return true;
    case 'n':
      *out += '\n';
      return true;
    case 'p':
      *out += t.hour < 12 ? "AM" : "PM";
      return true;
    case 'P':
      *out += t.hour < 12 ? "am" : "pm";
      return true;
    case 'r':
      *out += format_civil_time(t, "%I:%M:%S %p");
      return true;
    case 'R':
      *out += format_civil_time(t, "%H:%M");
      return true;
    case 'S':
      put(t.second, 2, '0');
      return true;
    case 't':
      *out += '\t';
      return true;
    case 'T':
    case 'X':
      *out += format_civil_time(t, "%H:%M:%S");
      return true;
    case 'u':
      put(weekday == 0 ? 7 : weekday, 1, '0');
      return true;
    case 'U':
      put((day_of_year(t) + 6 - weekday) / 7, 2, '0');
      return true;
    case 'V':
      put(iso_week(t).week, 2, '0');
      return true;
    case 'w':
      put(weekday, 1, '0');
      return true;
    case 'W':
      put((day_of_year(t) + 6 - (weekday + 6) % 7) / 7, 2, '0');
      return true;
    case 'y':
      put(t.year % 100, 2, '0');
      return true;
    case 'Y':
      *out += std::to_string(t.year);
      return true;
    case 'Z':
    case 'z':
      return true;
    case '%':
      *out += '%';
      return true;
    default:
      return false;
  }
}

}  // namespace

CivilTime CivilTime::local_now() {
  const std::time_t now = std::time(nullptr);
  std::tm local = {};
  localtime_r(&now, &local);
  return {local.tm_year + 1900, local.tm_mon + 1, local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec};
}

Result<CivilTime> parse_civil_time(std::string_view text) {
  CivilTime time;
  const auto fields = [&](std::string_view pattern) {
    if (text.size() != pattern.size()) return false;
    int* const values[] = {&time.year, &time.month, &time.day, &time.hour, &time.minute, &time.second};
    size_t field = 0;
    int value = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      if (pattern[i] == '0') {
        if (std::isdigit(static_cast<unsigned char>(text[i])) == 0) return false;
        value = value * 10 + (text[i] - '0');
        *values[field] = value;
      } else {
        if (text[i] != pattern[i] && !(pattern[i] == 'T' && text[i] == ' ')) return false;
        ++field;
        value = 0;
      }
    }
    return true;
  };
  const bool readable = fields("0000-00-00") || fields("0000-00-00T00:00") || fields("0000-00-00T00:00:00");
  if (!readable || time.year < 1 || time.month < 1 || time.month > 12 || time.day < 1 ||
      time.day > days_in_month(time.year, time.month) || time.hour > 23 || time.minute > 59 ||
      time.second > 60) {
    return invalid_argument("'" + std::string(text.substr(0, 40)) +
                            "' is no date: expected YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS");
  }
  return time;
}

std::string format_civil_time(const CivilTime& time, std::string_view format) {
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    size_t at = i + 1;
    char pad = 0;
    if (at < format.size() && (format[at] == '-' || format[at] == '_' || format[at] == '0'))
      pad = format[at++];
    if (at < format.size() && append_directive(&out, time, format[at], pad)) {
      i = at;
    } else {
      out += '%';
    }
  }
  return out;
}

}  // namespace octavo::text
