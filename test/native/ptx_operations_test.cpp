// What PTX instructions compute on the machine, against the host's own arithmetic, over all pairs or triples
// of hostile values.

#include <bit>
#include <cfenv>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "check.h"
#include "engine/cuda/kernels/number.h"
#include "ptx/trial.h"

using namespace ptx_fixture;

namespace {

/// The host's result with the one NaN that PTX has in single precision.
float one_nan(float value) {
  return std::isnan(value) ? std::bit_cast<float>(0x7fffffffU) : value;
}
double one_nan(double value) {
  return value;
}

/// Of twice the width, so that nothing wraps.
template <class T>
using Wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;

template <class T>
void try_integer(const std::string& type) {
  using W = Wide<T>;
  using U = std::make_unsigned_t<T>;
  constexpr int kBits = sizeof(T) * 8;
  try_all<T, T, T>("add." + type, [](T a, T b) { return static_cast<T>(static_cast<U>(W(a) + W(b))); });
  try_all<T, T, T>("sub." + type, [](T a, T b) { return static_cast<T>(static_cast<U>(W(a) - W(b))); });
  try_all<T, T, T>("mul.lo." + type, [](T a, T b) { return static_cast<T>(static_cast<U>(W(a) * W(b))); });
  try_all<T, T, T>("mul.hi." + type, [](T a, T b) { return static_cast<T>((W(a) * W(b)) >> kBits); });
  try_all<T, T, T, T>("mad.lo." + type, [](T a, T b, T c) {
    return static_cast<T>(static_cast<U>(W(a) * W(b)) + static_cast<U>(c));
  });
  const auto divides = [](T, T b) { return b != 0; };
  try_where<T, T, T>(
      "div." + type, [](T a, T b) { return static_cast<T>(static_cast<U>(W(a) / W(b))); }, divides);
  try_where<T, T, T>(
      "rem." + type, [](T a, T b) { return static_cast<T>(W(a) % W(b)); }, divides);
  try_all<T, T, T>("min." + type, [](T a, T b) { return b < a ? b : a; });
  try_all<T, T, T>("max." + type, [](T a, T b) { return a < b ? b : a; });
  try_all<T, T, u32>("shr." + type, [](T a, u32 b) {
    for (u32 at = 0; at < b && at < 64; ++at) a = static_cast<T>(a >> 1);
    return a;
  });
  try_all<bool, T, T>("setp.eq." + type, [](T a, T b) { return a == b; });
  try_all<bool, T, T>("setp.ne." + type, [](T a, T b) { return a != b; });
  try_all<bool, T, T>("setp.lt." + type, [](T a, T b) { return a < b; });
  try_all<bool, T, T>("setp.le." + type, [](T a, T b) { return a <= b; });
  try_all<bool, T, T>("setp.gt." + type, [](T a, T b) { return a > b; });
  try_all<bool, T, T>("setp.ge." + type, [](T a, T b) { return a >= b; });
  if constexpr (std::is_signed_v<T>) {
    try_all<T, T>("neg." + type, [](T a) { return static_cast<T>(static_cast<U>(-W(a))); });
    try_all<T, T>("abs." + type, [](T a) { return static_cast<T>(static_cast<U>(a < 0 ? -W(a) : W(a))); });
  }
  if constexpr (kBits < 64) {
    using Double = std::conditional_t<std::is_signed_v<T>, std::conditional_t<kBits == 16, s32, s64>,
                                      std::conditional_t<kBits == 16, u32, u64>>;
    try_all<Double, T, T>("mul.wide." + type, [](T a, T b) { return static_cast<Double>(W(a) * W(b)); });
  }
}

template <class T>
void try_bits(const std::string& bits) {
  const std::string type = ".b" + bits;
  try_all<T, T, T>("and" + type, [](T a, T b) { return static_cast<T>(a & b); });
  try_all<T, T, T>("or" + type, [](T a, T b) { return static_cast<T>(a | b); });
  try_all<T, T, T>("xor" + type, [](T a, T b) { return static_cast<T>((a | b) - (a & b)); });
  try_all<T, T>("not" + type, [](T a) { return static_cast<T>(-1 - a); });
  try_all<T, T, u32>("shl" + type, [](T a, u32 b) {
    for (u32 at = 0; at < b && at < 64; ++at) a = static_cast<T>(a * 2);
    return a;
  });
  try_all<T, T>("mov" + type, [](T a) { return a; });
  try_all<T, T, T, bool>("selp" + type, [](T a, T b, bool c) { return c ? a : b; });
  try_all<bool, T, T>("setp.eq" + type, [](T a, T b) { return a == b; });
}

template <class T>
void try_real(const std::string& type) {
  try_all<T, T, T>("add." + type, [](T a, T b) { return one_nan(a + b); });
  try_all<T, T, T>("sub.rn." + type, [](T a, T b) { return one_nan(a - b); });
  try_all<T, T, T>("mul." + type, [](T a, T b) { return one_nan(a * b); });
  try_all<T, T, T, T>("fma.rn." + type, [](T a, T b, T c) { return one_nan(std::fma(a, b, c)); });
  try_all<T, T, T>("div.rn." + type, [](T a, T b) { return one_nan(a / b); });
  try_all<T, T>("rcp.rn." + type, [](T a) { return one_nan(1 / a); });
  try_all<T, T>("sqrt.rn." + type, [](T a) { return one_nan(std::sqrt(a)); });
  try_all<T, T>("abs." + type, [](T a) { return std::fabs(a); });
  try_all<T, T>("neg." + type, [](T a) { return -a; });
  try_all<T, T, T>("copysign." + type,
                   [](T a, T b) { return std::signbit(a) ? -std::fabs(b) : std::fabs(b); });
  const auto below = [](T a, T b) { return a < b || (a == b && std::signbit(a) && !std::signbit(b)); };
  try_all<T, T, T>("min." + type, [&](T a, T b) {
    return std::isnan(a) ? one_nan(b) : std::isnan(b) || below(a, b) ? a : b;
  });
  try_all<T, T, T>("max." + type, [&](T a, T b) {
    return std::isnan(a) ? one_nan(b) : std::isnan(b) || below(b, a) ? a : b;
  });
  const auto unordered = [](T a, T b) { return std::isunordered(a, b); };
  try_all<bool, T, T>("setp.eq." + type, [](T a, T b) { return a == b; });
  try_all<bool, T, T>("setp.ne." + type, [](T a, T b) { return std::islessgreater(a, b); });
  try_all<bool, T, T>("setp.lt." + type, [](T a, T b) { return std::isless(a, b); });
  try_all<bool, T, T>("setp.ge." + type, [](T a, T b) { return std::isgreaterequal(a, b); });
  try_all<bool, T, T>("setp.equ." + type, [&](T a, T b) { return unordered(a, b) || a == b; });
  try_all<bool, T, T>("setp.neu." + type, [&](T a, T b) { return unordered(a, b) || a != b; });
  try_all<bool, T, T>("setp.ltu." + type, [&](T a, T b) { return unordered(a, b) || a < b; });
  try_all<bool, T, T>("setp.leu." + type, [&](T a, T b) { return unordered(a, b) || a <= b; });
  try_all<bool, T, T>("setp.gtu." + type, [&](T a, T b) { return unordered(a, b) || a > b; });
  try_all<bool, T, T>("setp.geu." + type, [&](T a, T b) { return unordered(a, b) || a >= b; });
  try_all<bool, T, T>("setp.nan." + type, unordered);
  try_all<T, T, T, bool>("selp." + type, [](T a, T b, bool c) { return c ? a : b; });
  // NaN gives +0, and -0 does.
  try_all<T, T>("cvt.sat." + type + "." + type, [](T a) { return a >= 1 ? T(1) : a > 0 ? a : T(0); });
}

template <class From, class To>
void try_to_integer(const std::string& types) {
  const auto limited = [](long double value) {
    using Limits = std::numeric_limits<To>;
    // As the ISA has it: 0 unless 64 bits are among the two types.
    if (std::isnan(value) && sizeof(From) < 8 && sizeof(To) < 8) return To{0};
    if (std::isnan(value)) return std::is_signed_v<To> ? Limits::min() : To(Limits::max() / 2 + 1);
    if (value <= static_cast<long double>(Limits::min())) return Limits::min();
    return value >= static_cast<long double>(Limits::max()) ? Limits::max() : static_cast<To>(value);
  };
  try_all<To, From>("cvt.rni." + types, [&](From a) { return limited(rintl(a)); });
  try_all<To, From>("cvt.rzi." + types, [&](From a) { return limited(truncl(a)); });
  try_all<To, From>("cvt.rmi." + types, [&](From a) { return limited(floorl(a)); });
  try_all<To, From>("cvt.rpi." + types, [&](From a) { return limited(ceill(a)); });
}

/// The processor's own fma in another rounding.
float fma_rounded(int mode, float a, float b, float c) {
  volatile float x = a;
  volatile float y = b;
  volatile float z = c;
  const int before = std::fegetround();
  std::fesetround(mode);
  volatile float result = std::fma(x, y, z);
  std::fesetround(before);
  return one_nan(result);
}

float flushed(float value) {
  return std::fabs(value) < std::numeric_limits<float>::min() ? value * 0 : value;
}

}  // namespace

CASE("integers are computed as the host does, and wrap") {
  try_integer<u16>("u16");
  try_integer<s16>("s16");
  try_integer<u32>("u32");
  try_integer<s32>("s32");
  try_integer<u64>("u64");
  try_integer<s64>("s64");
}

CASE("bits, predicates and permutations") {
  try_bits<u16>("16");
  try_bits<u32>("32");
  try_bits<u64>("64");
  try_all<bool, bool, bool>("and.pred", [](bool a, bool b) { return a && b; });
  try_all<bool, bool, bool>("or.pred", [](bool a, bool b) { return a || b; });
  try_all<bool, bool, bool>("xor.pred", [](bool a, bool b) { return a != b; });
  try_all<bool, bool>("not.pred", [](bool a) { return !a; });
  try_all<u32, u32>("popc.b32", [](u32 a) {
    u32 ones = 0;
    for (; a != 0; a &= a - 1) ++ones;
    return ones;
  });
  try_all<u32, u64>("clz.b64", [](u64 a) {
    u32 zeros = 64;
    for (; a != 0; a >>= 1) --zeros;
    return zeros;
  });
  const Run run = run_text(kernel_of(R"(
    mov.u32 %r2, 50462976;
    mov.u32 %r3, 2155906052;
    prmt.b32 %r4, %r2, %r3, 4180;
    prmt.b32 %r5, %r2, %r3, 0x08F4;
    st.global.v2.u32 [%rd1], {%r4, %r5};)"),
                           {});
  CHECK_MESSAGE(run.finding.empty(), run.finding);
  // Bytes 0 to 3 are 00 01 02 03, 4 to 7 are 04 84 80 80; a choice with its highest bit set repeats the sign.
  CHECK(run.data[0] == 0x01008404U);
  CHECK(run.data[1] == 0x0000ff04U);
}

CASE("real numbers are computed as IEEE 754 has it") {
  try_real<float>("f32");
  try_real<double>("f64");
}

CASE("a fused product and sum can be rounded down, up, or to zero") {
  try_all<float, float, float, float>(
      "fma.rm.f32", [](float a, float b, float c) { return fma_rounded(FE_DOWNWARD, a, b, c); });
  try_all<float, float, float, float>(
      "fma.rp.f32", [](float a, float b, float c) { return fma_rounded(FE_UPWARD, a, b, c); });
  try_all<float, float, float, float>(
      "fma.rz.f32", [](float a, float b, float c) { return fma_rounded(FE_TOWARDZERO, a, b, c); });
}

CASE("approximate functions are the host's, and flush denormal numbers where they are told to") {
  const auto close = [](double value) { return one_nan(static_cast<float>(value)); };
  try_all<float, float>("ex2.approx.ftz.f32",
                        [&](float a) { return flushed(close(std::exp2(double{flushed(a)}))); });
  try_all<float, float>("ex2.approx.f32", [&](float a) { return close(std::exp2(double{a})); });
  try_all<float, float>("lg2.approx.ftz.f32",
                        [&](float a) { return flushed(close(std::log2(double{flushed(a)}))); });
  try_all<float, float>("rcp.approx.ftz.f32", [&](float a) { return flushed(one_nan(1.0F / flushed(a))); });
  try_all<float, float>("sqrt.approx.f32", [&](float a) { return one_nan(std::sqrt(a)); });
}

CASE("conversions keep signs, saturate and round") {
  try_all<s64, s32>("cvt.s64.s32", [](s32 a) { return s64{a}; });
  try_all<u64, u32>("cvt.u64.u32", [](u32 a) { return u64{a}; });
  try_all<u32, u64>("cvt.u32.u64", [](u64 a) { return a & 0xffffffffU; });
  try_all<u16, u32>("cvt.u16.u32", [](u32 a) { return a & 0xffffU; });
  try_all<u32, u16>("cvt.u32.u16", [](u16 a) { return u32{a}; });
  try_all<s32, s16>("cvt.s32.s16", [](s16 a) { return s32{a}; });
  try_all<s32, s32>("cvt.s32.s8", [](s32 a) { return (a & 128) != 0 ? (a & 255) - 256 : a & 255; });
  try_all<u16, u32>("cvt.u8.u32", [](u32 a) { return a & 255U; });
  try_all<float, s32>("cvt.rn.f32.s32", [](s32 a) { return static_cast<float>(static_cast<double>(a)); });
  try_all<float, u64>("cvt.rn.f32.u64",
                      [](u64 a) { return static_cast<float>(static_cast<long double>(a)); });
  try_all<double, s32>("cvt.rn.f64.s32", [](s32 a) { return double{0} + a; });
  try_all<double, s64>("cvt.rn.f64.s64",
                       [](s64 a) { return static_cast<double>(static_cast<long double>(a)); });
  try_all<double, float>("cvt.f64.f32", [](float a) { return double{a}; });
  try_all<float, double>("cvt.rn.f32.f64", [](double a) { return one_nan(static_cast<float>(a)); });
  try_all<float, float>("cvt.rni.f32.f32", [](float a) { return one_nan(std::rint(a)); });
  try_all<float, float>("cvt.rmi.f32.f32", [](float a) { return one_nan(std::floor(a)); });
  try_to_integer<float, s32>("s32.f32");
  try_to_integer<float, u32>("u32.f32");
  try_to_integer<float, s64>("s64.f32");
  try_to_integer<double, s32>("s32.f64");
  try_to_integer<double, u64>("u64.f64");
}

CASE("all numbers of 16 bits, and what lies between them") {
  using namespace trt_asr;
  // A thread has two words: to float and back for fp16, and to fp16 and bf16 of a float between two numbers.
  const std::string body = R"(
    mov.u32 %r3, %ntid.x;
    mad.lo.s32 %r4, %r1, %r3, %r0;
    mul.wide.s32 %rd3, %r4, 12;
    add.s64 %rd2, %rd1, %rd3;
    cvt.u16.u32 %rs1, %r4;
    { cvt.f32.f16 %f1, %rs1; }
    ld.global.f32 %f2, [%rd2+4];
    cvt.rn.f16.f32 %rs2, %f2;
    cvt.rn.bf16.f32 %rs3, %f2;
    st.global.f32 [%rd2], %f1;
    st.global.u16 [%rd2+8], %rs2;
    st.global.u16 [%rd2+10], %rs3;)";
  Setting setting;
  setting.grid.x = 256;
  setting.block.x = 256;
  setting.data.assign(std::size_t{3} << 16, 0);
  const auto half = [](u32 bits) {
    cuda::Half stored;
    std::memcpy(&stored, &bits, 2);
    return cuda::to_float(stored);
  };
  std::vector<float> between(1U << 16);
  for (u32 bits = 0; bits < between.size(); ++bits) {
    // Ties, what is next to them, and numbers themselves.
    const float low = half(bits);
    const float high = half(bits + 1);
    const float middle = bits % 4 == 0 ? low : (low + high) / 2;
    between[bits] = bits % 4 == 2   ? std::nextafter(middle, low)
                    : bits % 4 == 3 ? std::nextafter(middle, high)
                                    : middle;
    setting.data[bits * 3 + 1] = std::bit_cast<u32>(between[bits]);
  }
  const Run run = run_text(kernel_of(body), setting);
  CHECK_MESSAGE(run.finding.empty(), run.finding);
  int wrong = 0;
  for (u32 bits = 0; bits < between.size(); ++bits) {
    const float received = std::bit_cast<float>(run.data[bits * 3]);
    const float expected = half(bits);
    if (std::isnan(expected) ? !std::isnan(received) : bits_of(received) != bits_of(expected)) ++wrong;
    cuda::Half as_half;
    cuda::BFloat as_bfloat;
    cuda::store(&as_half, between[bits]);
    cuda::store(&as_bfloat, between[bits]);
    u16 stored[2];
    std::memcpy(&stored[0], &as_half, 2);
    std::memcpy(&stored[1], &as_bfloat, 2);
    if (std::isnan(between[bits])) continue;
    if ((run.data[bits * 3 + 2] & 0xffffU) != stored[0] || run.data[bits * 3 + 2] >> 16 != stored[1]) ++wrong;
  }
  CHECK(wrong == 0);
}
