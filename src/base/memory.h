#pragma once
// What this process uses and may use.
#include <cstdint>

namespace octavo::base {
uint64_t resident_bytes();       // now
uint64_t peak_resident_bytes();  // so far
// Lets the peak begin anew at what is resident now; false where the kernel does not.
bool reset_peak_resident();
uint64_t available_memory_bytes();  // the smaller of MemAvailable and what the cgroup still allows
}  // namespace octavo::base
