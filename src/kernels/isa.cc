// Which instruction sets there are: CPUID says what the CPU decodes, XCR0 which registers the operating
// system saves; AMX's tiles also need the process to ask for them once, before its threads start (Linux,
// ARCH_REQ_XCOMP_PERM). Called by model/ at load (active_isa) and by each select.cc.
#include "kernels/isa.h"

#include <cstdint>
#include <cstdlib>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace octavo::kernels {
namespace {

constexpr Isa kAllIsas[] = {Isa::kRef, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512Vnni, Isa::kAmx};

#if defined(OCTAVO_EMULATE_ISA)

std::vector<Isa> detect() { return {std::begin(kAllIsas), std::end(kAllIsas)}; }

#elif defined(__x86_64__)

struct Registers {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

uint64_t enabled_register_state() {
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

bool request_tile_permission() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

constexpr bool has_bits(uint64_t value, uint64_t bits) { return (value & bits) == bits; }
constexpr uint64_t bit(int position) { return uint64_t{1} << position; }

std::vector<Isa> detect() {
  const Registers leaf1 = cpuid(1, 0);
  const Registers leaf7 = cpuid(7, 0);
  const Registers leaf7_1 = leaf7.eax >= 1 ? cpuid(7, 1) : Registers{};
  constexpr uint64_t kFma = bit(12), kOsXsave = bit(27), kF16c = bit(29);
  const uint64_t saved = has_bits(leaf1.ecx, kOsXsave) ? enabled_register_state() : 0;
  constexpr uint64_t kYmmState = bit(1) | bit(2);
  constexpr uint64_t kZmmState = kYmmState | bit(5) | bit(6) | bit(7);
  constexpr uint64_t kTileState = bit(17) | bit(18);

  std::vector<Isa> isas = {Isa::kRef};
  constexpr uint64_t kAvx2Bmi2 = bit(5) | bit(8);
  if (!has_bits(saved, kYmmState) || !has_bits(leaf1.ecx, kFma | kF16c) || !has_bits(leaf7.ebx, kAvx2Bmi2)) {
    return isas;
  }
  isas.push_back(Isa::kAvx2);
  if (has_bits(leaf7_1.eax, bit(4))) isas.push_back(Isa::kAvxVnni);

  constexpr uint64_t kAvx512FDqBwVl = bit(16) | bit(17) | bit(30) | bit(31);
  constexpr uint64_t kAvx512Vnni = bit(11);
  if (!has_bits(saved, kZmmState) || !has_bits(leaf7.ebx, kAvx512FDqBwVl) ||
      !has_bits(leaf7.ecx, kAvx512Vnni)) {
    return isas;
  }
  isas.push_back(Isa::kAvx512Vnni);
  constexpr uint64_t kAmxBf16TileInt8 = bit(22) | bit(24) | bit(25);
  if (has_bits(saved, kTileState) && has_bits(leaf7.edx, kAmxBf16TileInt8) && request_tile_permission()) {
    isas.push_back(Isa::kAmx);
  }
  return isas;
}

#else

std::vector<Isa> detect() { return {Isa::kRef}; }

#endif

const std::vector<Isa>& detected() {
  static const std::vector<Isa> isas = detect();
  return isas;
}

std::string names_of(const std::vector<Isa>& isas) {
  std::string names;
  for (const Isa isa : isas) names += (names.empty() ? "" : ", ") + std::string(isa_name(isa));
  return names;
}

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kRef:
      return "ref";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvxVnni:
      return "avxvnni";
    case Isa::kAvx512Vnni:
      return "avx512vnni";
    case Isa::kAmx:
      return "amx";
  }
  return "unknown";
}

bool cpu_has(Isa isa) {
  for (const Isa has : detected()) {
    if (has == isa) return true;
  }
  return false;
}

std::vector<Isa> cpu_isas() { return detected(); }

Result<Isa> choose_isa(std::optional<std::string_view> forced, const std::vector<Isa>& available) {
  if (!forced || forced->empty()) return available.back();
  for (const Isa isa : available) {
    if (*forced == isa_name(isa)) return isa;
  }
  for (const Isa isa : kAllIsas) {
    if (*forced == isa_name(isa)) {
      return unsupported("OCTAVO_ISA=" + std::string(*forced) +
                         ": this CPU or operating system lacks it; it has " + names_of(available) +
                         ". Unset OCTAVO_ISA to use the best of these.");
    }
  }
  return invalid_argument("OCTAVO_ISA=" + std::string(*forced) +
                          ": no such instruction set; expected one of " +
                          names_of({std::begin(kAllIsas), std::end(kAllIsas)}) + ".");
}

Result<Isa> active_isa() {
  static const Result<Isa> active = [] {
    const char* forced = std::getenv("OCTAVO_ISA");
    return choose_isa(forced ? std::optional<std::string_view>(forced) : std::nullopt, detected());
  }();
  return active;
}

}  // namespace octavo::kernels
