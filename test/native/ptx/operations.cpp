#include "operations.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <unordered_map>

#include "number.h"

namespace ptx {
namespace {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s8 = std::int8_t;
using s16 = std::int16_t;
using s32 = std::int32_t;
using s64 = std::int64_t;

template <class Type>
Type value_of(Word word) noexcept {
  if constexpr (std::is_same_v<Type, bool>)
    return word != 0;
  else if constexpr (std::is_same_v<Type, float>)
    return std::bit_cast<float>(static_cast<u32>(word));
  else if constexpr (std::is_same_v<Type, double>)
    return std::bit_cast<double>(word);
  else
    return static_cast<Type>(word);
}

/// Signed numbers keep their sign in the whole word: who reads it takes as many bits as it has.
template <class Type>
Word word_of(Type value) noexcept {
  if constexpr (std::is_same_v<Type, float>)
    return std::bit_cast<u32>(value);
  else if constexpr (std::is_same_v<Type, double>)
    return std::bit_cast<u64>(value);
  else
    return static_cast<Word>(value);
}

template <class Type>
constexpr u8 bytes_of = std::is_same_v<Type, bool> ? kPredicate : static_cast<u8>(sizeof(Type));

template <auto function, class Signature = decltype(+function)>
struct Applied;
template <auto function, class Result, class... Operands>
struct Applied<function, Result (*)(Operands...)> {
  template <std::size_t... at>
  static void call(Word* file, const Slot* slots, std::index_sequence<at...>) {
    file[slots[0]] = word_of<Result>(function(value_of<Operands>(file[slots[at + 1]])...));
  }
  static void apply(Word* file, const Slot* slots) {
    call(file, slots, std::index_sequence_for<Operands...>{});
  }
  static constexpr Operation operation() {
    return {&apply, {bytes_of<Result>, bytes_of<Operands>...}, static_cast<u8>(sizeof...(Operands))};
  }
};

using Table = std::unordered_map<std::string, Operation>;

template <auto function>
void put(Table& table, const std::string& name) {
  table[name] = Applied<function>::operation();
}

template <class Type>
using Unsigned = std::make_unsigned_t<Type>;
/// Arithmetic that wraps, without C++'s promotions to int.
template <class Type>
constexpr u64 wide(Type value) noexcept {
  return static_cast<u64>(value);
}
template <class Type>
constexpr Type shifted_right(Type a, u32 by) noexcept {
  constexpr u32 kBits = sizeof(Type) * 8;
  if (by >= kBits) return a < 0 ? static_cast<Type>(-1) : Type{0};
  return static_cast<Type>(a >> by);
}
template <class Type>
constexpr Type high_product(Type a, Type b) noexcept {
  using Long = std::conditional_t<std::is_signed_v<Type>, __int128, unsigned __int128>;
  return static_cast<Type>((static_cast<Long>(a) * static_cast<Long>(b)) >> (sizeof(Type) * 8));
}
/// Not by zero: the machine has looked.
template <class Type>
constexpr Type quotient(Type a, Type b) noexcept {
  if (std::is_signed_v<Type> && b == static_cast<Type>(-1)) return static_cast<Type>(u64{0} - wide(a));
  return static_cast<Type>(a / b);
}
template <class Type>
constexpr Type remainder(Type a, Type b) noexcept {
  if (std::is_signed_v<Type> && b == static_cast<Type>(-1)) return 0;
  return static_cast<Type>(a % b);
}

template <class T>
void put_compare(Table& table, const std::string& type) {
  put<[](T a, T b) { return a == b; }>(table, "setp.eq." + type);
  put<[](T a, T b) { return a != b && !(a != a) && !(b != b); }>(table, "setp.ne." + type);
  put<[](T a, T b) { return a < b; }>(table, "setp.lt." + type);
  put<[](T a, T b) { return a <= b; }>(table, "setp.le." + type);
  put<[](T a, T b) { return b < a; }>(table, "setp.gt." + type);
  put<[](T a, T b) { return a >= b; }>(table, "setp.ge." + type);
}

template <class T>
void put_integer(Table& table, const std::string& type) {
  put<[](T a, T b) { return static_cast<T>(wide(a) + wide(b)); }>(table, "add." + type);
  put<[](T a, T b) { return static_cast<T>(wide(a) - wide(b)); }>(table, "sub." + type);
  put<[](T a, T b) { return static_cast<T>(wide(a) * wide(b)); }>(table, "mul.lo." + type);
  put<[](T a, T b, T c) { return static_cast<T>(wide(a) * wide(b) + wide(c)); }>(table, "mad.lo." + type);
  put<[](T a, T b) { return high_product(a, b); }>(table, "mul.hi." + type);
  put<[](T a, T b) { return quotient(a, b); }>(table, "div." + type);
  put<[](T a, T b) { return remainder(a, b); }>(table, "rem." + type);
  put<[](T a, T b) { return std::min(a, b); }>(table, "min." + type);
  put<[](T a, T b) { return std::max(a, b); }>(table, "max." + type);
  put<[](T a, u32 b) { return shifted_right(a, b); }>(table, "shr." + type);
  put<[](T a, T b) { return static_cast<T>(wide(a) + wide(b)); }>(table, "atom.add." + type);
  put<[](T a, T b) { return std::min(a, b); }>(table, "atom.min." + type);
  put<[](T a, T b) { return std::max(a, b); }>(table, "atom.max." + type);
  if constexpr (std::is_signed_v<T>) {
    put<[](T a) { return static_cast<T>(u64{0} - wide(a)); }>(table, "neg." + type);
    put<[](T a) { return a < 0 ? static_cast<T>(u64{0} - wide(a)) : a; }>(table, "abs." + type);
  }
  put_compare<T>(table, type);
}

template <class T, class Wide>
void put_wide(Table& table, const std::string& type) {
  put<[](T a, T b) { return static_cast<Wide>(wide<Wide>(a) * wide<Wide>(b)); }>(table, "mul.wide." + type);
  put<[](T a, T b, Wide c) { return static_cast<Wide>(wide<Wide>(a) * wide<Wide>(b) + wide(c)); }>(
      table, "mad.wide." + type);
}

template <class T>
void put_bits(Table& table, const std::string& bits) {
  const std::string type = "b" + bits;
  put<[](T a, T b) { return static_cast<T>(a & b); }>(table, "and." + type);
  put<[](T a, T b) { return static_cast<T>(a | b); }>(table, "or." + type);
  put<[](T a, T b) { return static_cast<T>(a ^ b); }>(table, "xor." + type);
  put<[](T a) { return static_cast<T>(~a); }>(table, "not." + type);
  put<[](T a, u32 b) { return b >= sizeof(T) * 8 ? T{0} : static_cast<T>(wide(a) << b); }>(table,
                                                                                           "shl." + type);
  put<[](T a, u32 b) { return shifted_right(a, b); }>(table, "shr." + type);
  put<[](T a, T b) { return a == b; }>(table, "setp.eq." + type);
  put<[](T a, T b) { return a != b; }>(table, "setp.ne." + type);
  put<[](T a, T b) { return static_cast<T>(a & b); }>(table, "atom.and." + type);
  put<[](T a, T b) { return static_cast<T>(a | b); }>(table, "atom.or." + type);
  put<[](T a, T b) { return static_cast<T>(a ^ b); }>(table, "atom.xor." + type);
  put<[](T, T b) { return b; }>(table, "atom.exch." + type);
  put<[](T a, T compare, T b) { return a == compare ? b : a; }>(table, "atom.cas." + type);
  for (const char kind : {'b', 'u', 's', 'f'}) {
    if (kind == 'f' && sizeof(T) == 2) continue;
    put<[](T a) { return a; }>(table, "mov." + (kind + bits));
    put<[](T a, T b, bool c) { return c ? a : b; }>(table, "selp." + (kind + bits));
  }
}

template <class T>
void put_real(Table& table, const std::string& type) {
  // CONTRACT: without .rn, ptxas may join a product and a sum into one fma; here each rounds by itself.
  for (const char* rounding : {".", ".rn."}) {
    put<[](T a, T b) { return canonical(a + b); }>(table, "add" + (rounding + type));
    put<[](T a, T b) { return canonical(a - b); }>(table, "sub" + (rounding + type));
    put<[](T a, T b) { return canonical(a * b); }>(table, "mul" + (rounding + type));
  }
  put<[](T a, T b, T c) { return canonical(std::fma(a, b, c)); }>(table, "fma.rn." + type);
  put<[](T a, T b) { return canonical(a / b); }>(table, "div.rn." + type);
  put<[](T a) { return canonical(T{1} / a); }>(table, "rcp.rn." + type);
  put<[](T a) { return canonical(std::sqrt(a)); }>(table, "sqrt.rn." + type);
  put<[](T a) { return std::fabs(a); }>(table, "abs." + type);
  put<[](T a) { return -a; }>(table, "neg." + type);
  put<[](T a, T b) { return lesser(a, b); }>(table, "min." + type);
  put<[](T a, T b) { return greater(a, b); }>(table, "max." + type);
  put<[](T sign, T size) { return std::copysign(size, sign); }>(table, "copysign." + type);
  put<[](T a, T b) { return canonical(a + b); }>(table, "atom.add." + type);
  put_compare<T>(table, type);
  put<[](T a, T b) { return !(a < b) && !(b < a); }>(table, "setp.equ." + type);
  put<[](T a, T b) { return a != b; }>(table, "setp.neu." + type);
  put<[](T a, T b) { return !(a >= b); }>(table, "setp.ltu." + type);
  put<[](T a, T b) { return !(a > b); }>(table, "setp.leu." + type);
  put<[](T a, T b) { return !(a <= b); }>(table, "setp.gtu." + type);
  put<[](T a, T b) { return !(a < b); }>(table, "setp.geu." + type);
  put<[](T a, T b) { return !std::isnan(a) && !std::isnan(b); }>(table, "setp.num." + type);
  put<[](T a, T b) { return std::isnan(a) || std::isnan(b); }>(table, "setp.nan." + type);
}

template <auto function>
void put_approximate(Table& table, const std::string& name) {
  put<[](float a) { return canonical(static_cast<float>(function(static_cast<double>(a)))); }>(table,
                                                                                               name + ".f32");
  put<[](float a) {
    return flushed(canonical(static_cast<float>(function(static_cast<double>(flushed(a))))));
  }>(table, name + ".ftz.f32");
}

template <class From>
void put_integer_from(Table& table, const std::string& from) {
  put<[](From a) { return static_cast<u8>(a); }>(table, "cvt.u8." + from);
  put<[](From a) { return static_cast<s8>(a); }>(table, "cvt.s8." + from);
  put<[](From a) { return static_cast<u16>(a); }>(table, "cvt.u16." + from);
  put<[](From a) { return static_cast<s16>(a); }>(table, "cvt.s16." + from);
  put<[](From a) { return static_cast<u32>(a); }>(table, "cvt.u32." + from);
  put<[](From a) { return static_cast<s32>(a); }>(table, "cvt.s32." + from);
  put<[](From a) { return static_cast<u64>(a); }>(table, "cvt.u64." + from);
  put<[](From a) { return static_cast<s64>(a); }>(table, "cvt.s64." + from);
  put<[](From a) { return static_cast<float>(a); }>(table, "cvt.rn.f32." + from);
  put<[](From a) { return static_cast<double>(a); }>(table, "cvt.rn.f64." + from);
}

template <class From, class To>
void put_from_real(Table& table, const std::string& types) {
  put<[](From a) { return saturated<To>(std::nearbyint(a)); }>(table, "cvt.rni." + types);
  put<[](From a) { return saturated<To>(std::trunc(a)); }>(table, "cvt.rzi." + types);
  put<[](From a) { return saturated<To>(std::floor(a)); }>(table, "cvt.rmi." + types);
  put<[](From a) { return saturated<To>(std::ceil(a)); }>(table, "cvt.rpi." + types);
}

template <class From>
void put_real_from(Table& table, const std::string& from) {
  put_from_real<From, u16>(table, "u16." + from);
  put_from_real<From, s16>(table, "s16." + from);
  put_from_real<From, u32>(table, "u32." + from);
  put_from_real<From, s32>(table, "s32." + from);
  put_from_real<From, u64>(table, "u64." + from);
  put_from_real<From, s64>(table, "s64." + from);
  const std::string types = from + "." + from;
  put<[](From a) { return canonical(std::nearbyint(a)); }>(table, "cvt.rni." + types);
  put<[](From a) { return canonical(std::trunc(a)); }>(table, "cvt.rzi." + types);
  put<[](From a) { return canonical(std::floor(a)); }>(table, "cvt.rmi." + types);
  put<[](From a) { return canonical(std::ceil(a)); }>(table, "cvt.rpi." + types);
  // Of a NaN it is +0.
  put<[](From a) { return 0 < a ? std::min(a, From{1}) : From{0}; }>(table, "cvt.sat." + types);
}

void put_conversions(Table& table) {
  put_integer_from<u8>(table, "u8");
  put_integer_from<s8>(table, "s8");
  put_integer_from<u16>(table, "u16");
  put_integer_from<s16>(table, "s16");
  put_integer_from<u32>(table, "u32");
  put_integer_from<s32>(table, "s32");
  put_integer_from<u64>(table, "u64");
  put_integer_from<s64>(table, "s64");
  put_real_from<float>(table, "f32");
  put_real_from<double>(table, "f64");
  put<[](float a) { return static_cast<double>(a); }>(table, "cvt.f64.f32");
  put<[](double a) { return canonical(static_cast<float>(a)); }>(table, "cvt.rn.f32.f64");
  put<[](u16 a) { return half_to_float(a); }>(table, "cvt.f32.f16");
  put<[](float a) { return float_to_half(a); }>(table, "cvt.rn.f16.f32");
  put<[](u16 a) { return bfloat_to_float(a); }>(table, "cvt.f32.bf16");
  put<[](float a) { return float_to_bfloat(a); }>(table, "cvt.rn.bf16.f32");
}

u32 permuted(u32 a, u32 b, u32 selector) {
  const u64 bytes = (u64{b} << 32) | a;
  u32 result = 0;
  for (u32 at = 0; at < 4; ++at) {
    const u32 choice = (selector >> (at * 4)) & 15U;
    u32 byte = static_cast<u32>(bytes >> ((choice & 7U) * 8)) & 255U;
    if (choice >= 8) byte = byte >= 128 ? 255 : 0;
    result |= byte << (at * 8);
  }
  return result;
}

/// Both halves of slots[2], the lower one first.
template <class Half>
void unpack(Word* file, const Slot* slots) {
  const Word whole = file[slots[2]];
  file[slots[0]] = static_cast<Half>(whole);
  file[slots[1]] = static_cast<Half>(whole >> (sizeof(Half) * 8));
}

void put_addresses(Table& table) {
  for (const char kind : {'b', 'u', 's', 'f'}) {
    const std::string type = std::string("mov.") + kind;
    put<[](u16 a, u16 b) { return u32{b} << 16 | a; }>(table, "pack." + type + "32");
    put<[](u32 a, u32 b) { return u64{b} << 32 | a; }>(table, "pack." + type + "64");
    table["unpack." + type + "32"] = {&unpack<u16>, {}, 0};
    table["unpack." + type + "64"] = {&unpack<u32>, {}, 0};
  }
  put<[](u64 a) { return a; }>(table, "cvta.global.u64");
  put<[](u64 a) { return a; }>(table, "cvta.to.global.u64");
  // Where parameters lie is told by their window from the first.
  put<[](u64 a) { return a; }>(table, "cvta.param.u64");
  put<[](u64 a) { return a | kSharedWindow; }>(table, "cvta.shared.u64");
  put<[](u64 a) { return a & ~kWindowMask; }>(table, "cvta.to.shared.u64");
  put<[](u64 a) { return a | kLocalWindow; }>(table, "cvta.local.u64");
  put<[](u64 a) { return a & ~kWindowMask; }>(table, "cvta.to.local.u64");
}

Table make_table() {
  Table table;
  put_addresses(table);
  put_integer<u16>(table, "u16");
  put_integer<s16>(table, "s16");
  put_integer<u32>(table, "u32");
  put_integer<s32>(table, "s32");
  put_integer<u64>(table, "u64");
  put_integer<s64>(table, "s64");
  put_wide<u16, u32>(table, "u16");
  put_wide<s16, s32>(table, "s16");
  put_wide<u32, u64>(table, "u32");
  put_wide<s32, s64>(table, "s32");
  put_bits<u16>(table, "16");
  put_bits<u32>(table, "32");
  put_bits<u64>(table, "64");
  put<[](bool a, bool b) { return a && b; }>(table, "and.pred");
  put<[](bool a, bool b) { return a || b; }>(table, "or.pred");
  put<[](bool a, bool b) { return a != b; }>(table, "xor.pred");
  put<[](bool a) { return !a; }>(table, "not.pred");
  put<[](bool a) { return a; }>(table, "mov.pred");
  put<[](u32 a) { return static_cast<u32>(std::popcount(a)); }>(table, "popc.b32");
  put<[](u64 a) { return static_cast<u32>(std::popcount(a)); }>(table, "popc.b64");
  put<[](u32 a) { return static_cast<u32>(std::countl_zero(a)); }>(table, "clz.b32");
  put<[](u64 a) { return static_cast<u32>(std::countl_zero(a)); }>(table, "clz.b64");
  put<[](u32 a, u32 b, u32 c) { return permuted(a, b, c); }>(table, "prmt.b32");
  put_real<float>(table, "f32");
  put_real<double>(table, "f64");
  put<[](float a, float b, float c) { return canonical(fma_directed<Rounding::down>(a, b, c)); }>(
      table, "fma.rm.f32");
  put<[](float a, float b, float c) { return canonical(fma_directed<Rounding::up>(a, b, c)); }>(table,
                                                                                                "fma.rp.f32");
  put<[](float a, float b, float c) { return canonical(fma_directed<Rounding::zero>(a, b, c)); }>(
      table, "fma.rz.f32");
  // CONTRACT: a GPU's are off by a few units in the last place; here they are rounded correctly, or nearly
  // so.
  put_approximate<[](double a) { return std::exp2(a); }>(table, "ex2.approx");
  put_approximate<[](double a) { return std::log2(a); }>(table, "lg2.approx");
  put_approximate<[](double a) { return 1 / a; }>(table, "rcp.approx");
  put_approximate<[](double a) { return std::sqrt(a); }>(table, "sqrt.approx");
  put_approximate<[](double a) { return 1 / std::sqrt(a); }>(table, "rsqrt.approx");
  put_conversions(table);
  return table;
}

}  // namespace

const Operation* find_operation(std::string_view opcode) {
  static const Table table = make_table();
  const auto found = table.find(std::string(opcode));
  return found == table.end() ? nullptr : &found->second;
}

}  // namespace ptx
