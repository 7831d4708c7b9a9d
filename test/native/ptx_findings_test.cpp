// What the machine that runs PTX finds wrong, each next to what looks like it and is right. In each of some
// orders of blocks and threads the same is found.

#include <string>
#include <vector>

#include "check.h"
#include "ptx/fixture.h"

using namespace ptx_fixture;

namespace {

struct Trial {
  std::string body;
  std::string finding;  ///< Part of it; empty where nothing is wrong.
  Setting setting{};
};

void try_all(const std::vector<Trial>& trials) {
  for (const Trial& one : trials) {
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      Setting setting = one.setting;
      setting.seed = seed;
      const std::string finding = run_text(kernel_of(one.body), setting).finding;
      const bool right =
          one.finding.empty() ? finding.empty() : finding.find(one.finding) != std::string::npos;
      CHECK_MESSAGE(right, one.body + "\n      gave: " + finding);
    }
  }
}

Setting blocks(std::uint32_t count, std::uint32_t threads) {
  return {.grid = {count, 1, 1}, .block = {threads, 1, 1}};
}

/// Of a block's thread, and of all threads: %r2 own + 4 * thread; %rd2 data + 4 * thread; %rd3 data + 4 *
/// block.
const std::string places = R"(
    shl.b32 %r2, %r0, 2; mov.u32 %r3, own; add.s32 %r2, %r2, %r3;
    mul.wide.u32 %rd2, %r0, 4; add.s64 %rd2, %rd1, %rd2;
    mul.wide.u32 %rd3, %r1, 4; add.s64 %rd3, %rd1, %rd3;
    setp.eq.s32 %p1, %r0, 0;
)";

}  // namespace

CASE("addresses must be there and aligned") {
  try_all({
      {"mov.u64 %rd2, 0; ld.global.u32 %r2, [%rd2];", "a null pointer"},
      {"ld.global.u32 %r2, [%rd1+4092];", ""},
      {"ld.global.u32 %r2, [%rd1+4096];", "not there"},
      {"ld.global.u32 %r2, [%rd1+-4];", "not there"},
      {"st.global.v4.u32 [%rd1+4080], {%r0, %r0, %r0, %r0};", ""},
      {"st.global.v4.u32 [%rd1+4096], {%r0, %r0, %r0, %r0};", "not there"},
      {"ld.global.u32 %r2, [%rd1+2];", "not a multiple of its 4 bytes"},
      {"ld.global.u16 %rs1, [%rd1+2];", ""},
      {"ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%rd1+8];", "not a multiple of its 16 bytes"},
      {"ld.global.v2.u32 {%r2, %r3}, [%rd1+8];", ""},
      {"ld.global.v2.u32 {%r2, %r3}, [%rd1+4];", "not a multiple of its 8 bytes"},
      {"atom.global.add.u32 %r2, [%rd1+4096], 1;", "not there"},
      {"st.shared.u32 [more+60], %r0;", ""},
      {"st.shared.u32 [more+64], %r0;", "beyond the 320 bytes of shared memory, at 320"},
      {"st.shared.u32 [own+-4], %r0;", "shared memory, below them"},
      {"mov.u32 %r2, 0; st.shared.u32 [%r2], %r0;", "shared memory, below them"},
      {"st.shared.v2.u32 [own+4], {%r0, %r0};", "not a multiple of its 8 bytes"},
      {".local .align 8 .b8 depot[16]; st.local.u64 [depot+8], %rd1;", ""},
      {".local .align 8 .b8 depot[16]; st.local.u64 [depot+16], %rd1;",
       "beyond the 16 bytes of local memory"},
      {"ld.param.u64 %rd2, [k_param_1+8];", ""},
      {"ld.param.u64 %rd2, [k_param_1+16];", "beyond the 24 bytes of parameters"},
      {"ld.param.u32 %r2, [%rd1];", "no address of a parameter"},
      {"mov.b64 %rd2, k_param_0; st.u32 [%rd2], %r0;", "parameters are written"},
      {"mov.u64 %rd2, own; st.global.u32 [%rd2], %r0;", "not there"},
      {"mov.u64 %rd2, own; cvta.shared.u64 %rd2, %rd2; st.global.u32 [%rd2], %r0;", "not there"},
  });
}

CASE("a finding tells what, where and who") {
  const Run run =
      run_text(kernel_of("setp.ne.s32 %p1, %r0, 5; @%p1 bra DONE; ld.global.u32 %r2, [%rd1+4096]; DONE:"),
               {.grid = {1, 1, 1}, .block = {4, 2, 1}});
  CHECK(run.finding.empty());  // Threads are 0 to 3 along x.
  const Run found =
      run_text(kernel_of("setp.ne.s32 %p1, %r0, 3; @%p1 bra DONE; ld.global.u32 %r2, [%rd1+4096]; DONE:"),
               blocks(1, 4));
  CHECK_MESSAGE(
      found.finding.find(first_line() +
                         " 'ld.global.u32 %r2, [%rd1+4096]', block (0, 0, 0), thread (3, 0, 0), kernel k") !=
          std::string::npos,
      found.finding);
  const Run race = run_text(kernel_of("st.shared.u32 [own], %r0;"), blocks(1, 2));
  CHECK_MESSAGE(race.finding.find("thread (0, 0, 0)") != std::string::npos &&
                    race.finding.find("thread (1, 0, 0)") != std::string::npos &&
                    race.finding.find("the other: " + first_line() + " 'st.shared.u32 [own], %r0'") !=
                        std::string::npos,
                race.finding);
}

CASE("threads of a block share memory from barrier to barrier") {
  const Setting block = blocks(1, 8);
  const std::string mine = places + "st.shared.u32 [%r2], %r0;\n";
  const std::string next =
      "add.s32 %r4, %r0, 1; and.b32 %r4, %r4, 7; shl.b32 %r4, %r4, 2; add.s32 %r4, %r4, %r3;\n";
  try_all({
      {mine, "", block},
      {mine + "ld.shared.u32 %r5, [%r2];", "", block},
      // Or one that nobody has written yet, where the reader comes first.
      {mine + next + "ld.shared.u32 %r5, [%r4];", "shared memory is read that", block},
      {mine + next + "bar.sync 0; ld.shared.u32 %r5, [%r4];", "", block},
      {mine + next + "bar.sync 0; ld.shared.u32 %r5, [%r4]; bar.sync 0; st.shared.u32 [%r2], 1;", "", block},
      {mine + next + "bar.sync 0; ld.shared.u32 %r5, [%r4]; st.shared.u32 [%r2], 1;", "a race", block},
      {"st.shared.u32 [own], %r0;", "a race: two threads write", block},
      {"st.shared.u32 [own], 5;", "a race: two threads write", block},  // The same value, too.
      {places + "@%p1 st.shared.u32 [own], 5;", "", block},
      {places + "@%p1 st.shared.u32 [own], 5; bar.sync 0; ld.shared.u32 %r5, [own];", "", block},
      {places +
           "@%p1 st.shared.u32 [own], 5; bar.sync 0; ld.shared.u32 %r5, [own]; @%p1 st.shared.u32 [own], 6;",
       "a race: shared memory is", block},
      {places + "@%p1 st.shared.u32 [own], 5; bar.sync 0; atom.shared.add.u32 %r5, [own], 1;", "", block},
      {places + "@%p1 st.shared.u32 [own], 5; bar.sync 0; atom.shared.add.u32 %r5, [own], 1; @%p1 "
                "ld.shared.u32 %r6, "
                "[own];",
       "a race", block},
      {places + "@%p1 st.shared.u32 [own], 5; bar.sync 0; atom.shared.add.u32 %r5, [own], 1; bar.sync 0; "
                "ld.shared.u32 %r6, [own];",
       "", block},
      // Where the writer comes last, and has read or written before.
      {places +
           "@%p1 st.shared.u32 [own], 5; bar.sync 0; ld.shared.u32 %r5, [own]; @%p1 st.shared.u32 [own], 6;",
       "a race: shared memory is", blocks(1, 2)},
      {places + "@%p1 st.shared.u32 [own], 5; bar.sync 0; @%p1 st.shared.u32 [own], 6; atom.shared.add.u32 "
                "%r5, [own], 1;",
       "a race: two threads write", blocks(1, 2)},
      // Where the last atomic was the reader's own, or the writer's.
      {places + "@%p1 st.shared.u32 [own], 5; bar.sync 0; atom.shared.add.u32 %r5, [own], 1; @%p1 "
                "ld.shared.u32 %r6, [own];",
       "a race", blocks(1, 2)},
      {places + "@%p1 st.shared.u32 [own], 5; bar.sync 0; atom.shared.add.u32 %r5, [own], 1; @%p1 "
                "st.shared.u32 [own], 6;",
       "a race", blocks(1, 2)},
      // Halves of a word are apart.
      {places + "shl.b32 %r4, %r0, 1; add.s32 %r4, %r4, %r3; st.shared.u16 [%r4], %r0;", "", block},
      {places + "and.b32 %r4, %r0, 6; add.s32 %r4, %r4, %r3; st.shared.u16 [%r4], %r0;", "a race", block},
      {places + "shl.b32 %r4, %r0, 3; add.s32 %r4, %r4, %r3; st.shared.v4.u32 [%r4], {0, 0, 0, 0};",
       "not a multiple", block},
      {places + "and.b32 %r4, %r0, 6; shl.b32 %r4, %r4, 3; add.s32 %r4, %r4, %r3; st.shared.v4.u32 [%r4], "
                "{0, 0, 0, 0};",
       "a race", block},
      // By a generic address.
      {places +
           "mov.u64 %rd4, own; cvta.shared.u64 %rd4, %rd4; cvt.u64.u32 %rd5, %r0; add.s64 %rd4, %rd4, %rd5; "
           "st.u8 [%rd4], %r0; st.shared.u32 [%r2+16], %r0;",
       "", block},
      {"mov.u64 %rd2, own; cvta.shared.u64 %rd2, %rd2; st.u32 [%rd2], %r0;", "a race", block},
  });
}

CASE("shared memory and registers are written before they are read") {
  const std::string write = places + "@%p1 st.shared.u32 [own+4], %r1; bar.sync 0;\n";
  try_all({
      {write + "ld.shared.u32 %r5, [own+4];", "", blocks(3, 8)},
      {write + "ld.shared.u32 %r5, [own+8];", "no thread of the block wrote", blocks(3, 8)},
      {write + "ld.shared.v2.u32 {%r5, %r6}, [own];", "no thread of the block wrote", blocks(3, 8)},
      {"atom.shared.add.u32 %r5, [own], 1;", "no thread of the block wrote"},
      // The first block's shared memory is not the second one's.
      {"setp.eq.s32 %p1, %r1, 1; @%p1 st.shared.u32 [own], 1; setp.eq.s32 %p2, %r1, 0; @%p2 ld.shared.u32 "
       "%r5, [own];",
       "no thread of the block wrote", blocks(2, 1)},
      {"add.s32 %r5, %r6, 1;", "a register is read"},
      {"st.global.u32 [%rd1], %r6;", "a register is read"},
      {"@%p1 bra DONE; DONE:", "a register is read"},
      {"ld.global.u32 %r5, [%rd9];", "a register is read"},
      {"setp.eq.s32 %p1, %r0, 9; @%p1 ret; add.s32 %r5, %r6, 1;", "a register is read"},
      {"setp.eq.s32 %p1, %r0, 9; @%p1 bra DONE; add.s32 %r5, %r6, 1; DONE:", "a register is read"},
      {"setp.eq.s32 %p1, %r0, 0; @%p1 mov.u32 %r5, 1; @%p1 mov.u32 %r6, %r5;", "", blocks(1, 8)},
      {"setp.eq.s32 %p1, %r0, 0; @%p1 mov.u32 %r5, 1; @!%p1 mov.u32 %r6, %r5;", "a register is read",
       blocks(1, 8)},
      {"setp.eq.s32 %p1, %r0, 0; @%p1 bra ONE; mov.u32 %r5, 1; bra TWO; ONE: mov.u32 %r5, 2; TWO: mov.u32 "
       "%r6, %r5;",
       "", blocks(2, 8)},
      {"setp.eq.s32 %p1, %r0, 0; @%p1 bra ONE; mov.u32 %r5, 1; ONE: mov.u32 %r6, %r5;", "a register is read",
       blocks(1, 8)},
      {"setp.eq.s32 %p1, %r0, 0; @%p1 bra B; mov.u32 %r5, 1; bra D; B: bra D; D: bra E; E: mov.u32 %r6, %r5;",
       "a register is read", blocks(1, 8)},
      {"setp.eq.s32 %p1, %r0, 0; @%p1 bra B; mov.u32 %r5, 1; bra D; B: mov.u32 %r5, 2; bra D; D: bra E; E: "
       "mov.u32 %r6, %r5;",
       "", blocks(1, 8)},
      // What another block's thread wrote into its register is not this one's.
      {"setp.eq.s32 %p1, %r1, 0; @%p1 mov.u32 %r5, 1; mov.u32 %r6, %r5;", "a register is read", blocks(2, 1)},
  });
}

CASE("every thread of a block reaches every barrier") {
  const Setting block = blocks(2, 64);
  try_all({
      {places + "bar.sync 0; bar.sync 0;", "", block},
      {places + "@%p1 bra DONE; bar.sync 0; DONE:", "a barrier that not every thread of the block reaches",
       block},
      {places + "@%p1 bra ONE; bar.sync 0; bra DONE; ONE: bar.sync 0; DONE:", "waits at another one", block},
      {places + "@%p1 bra ONE; bar.sync 0; bra DONE; ONE: bar.sync 1; DONE:", "waits at another one", block},
      {places + "@%p1 bar.sync 0;", "has left", block},
      {places + "setp.eq.s32 %p2, %r1, 0; @%p2 bra DONE; bar.sync 0; DONE:", "",
       block},  // A whole block goes by.
      {"mov.u32 %r2, 0; LOOP: bar.sync 0; add.s32 %r2, %r2, 1; setp.lt.s32 %p1, %r2, %r0; @%p1 bra LOOP;",
       "has left", block},
  });
}

CASE("blocks of a launch write what no other one touches") {
  const Setting grid = blocks(4, 8);
  const std::string all_of_it =
      "mad.lo.s32 %r5, %r1, 8, %r0; mul.wide.u32 %rd4, %r5, 4; add.s64 %rd4, %rd1, %rd4;\n";
  try_all({
      {places + all_of_it + "st.global.u32 [%rd4], %r0; ld.global.u32 %r6, [%rd4];", "", grid},
      {"ld.global.u32 %r6, [%rd1];", "", grid},
      {places + "st.global.u32 [%rd2], %r0;", "a race: two threads write the same global memory", grid},
      {places + "st.global.u32 [%rd2], %r0;", "", blocks(1, 8)},
      {places + "@%p1 st.global.u32 [%rd3], %r0;", "", grid},
      {places + "st.global.u32 [%rd3], %r0;", "a race", blocks(1, 2)},
      // Within a block a barrier orders them.
      {places + "@%p1 st.global.u32 [%rd3], %r0; bar.sync 0; ld.global.u32 %r6, [%rd3];", "", grid},
      {places + "@%p1 st.global.u32 [%rd3], %r0; ld.global.u32 %r6, [%rd3];", "a race", grid},
      {places + "@%p1 st.global.u32 [%rd3], %r0; bar.sync 0; ld.global.u32 %r6, [%rd1+4];", "a race", grid},
      {places + "ld.global.u32 %r6, [%rd3]; bar.sync 0; @%p1 st.global.u32 [%rd3], %r0;", "", grid},
      {places + "ld.global.u32 %r6, [%rd3]; @%p1 st.global.u32 [%rd3], %r0;", "a race", grid},
      {places + "ld.global.u32 %r6, [%rd1]; setp.eq.s32 %p2, %r1, 2; bar.sync 0; @%p1 bra ONE; bra DONE; "
                "ONE: @%p2 st.global.u32 [%rd1], %r0; DONE:",
       "a race", grid},
      // Bytes of one word are apart.
      {"setp.ne.s32 %p1, %r0, 0; @%p1 bra DONE; mul.wide.u32 %rd3, %r1, 1; add.s64 %rd3, %rd1, %rd3; "
       "st.global.u8 [%rd3], "
       "%r0; DONE:",
       "", grid},
      // Atomics do not race with each other, but with others.
      {"atom.global.or.b32 %r6, [%rd1], 64;", "", grid},
      {places + "atom.global.or.b32 %r6, [%rd1], 64; bar.sync 0; setp.eq.s32 %p2, %r1, 1; @%p2 ld.global.u32 "
                "%r6, [%rd1];",
       "a race", grid},
      // By whichever block it was read.
      {places + all_of_it +
           "ld.global.nc.u32 %r6, [%rd1]; setp.eq.s32 %p2, %r1, 2; bar.sync 0; ld.global.u32 %r6, [%rd1]; "
           "and.pred %p2, %p2, %p1; @%p2 st.global.u32 [%rd1], 1;",
       "that this launch ", grid},
      {places + "ld.global.nc.u32 %r6, [%rd3]; bar.sync 0; ld.global.u32 %r6, [%rd3]; bar.sync 0; @%p1 "
                "st.global.u32 [%rd3], 1;",
       "reads by ld.global.nc", grid},
      // Where the last of two is not the only one.
      {places + "ld.global.u32 %r6, [%rd3]; @%p1 st.global.u32 [%rd3], %r0;", "a race", blocks(1, 2)},
      {places + "ld.global.u32 %r6, [%rd3]; ld.global.u32 %r6, [%rd3]; @%p1 st.global.u32 [%rd3], %r0;",
       "a race", blocks(1, 2)},
      {places + "atom.global.or.b32 %r6, [%rd3], 64; @%p1 ld.global.u32 %r6, [%rd3];", "a race",
       blocks(1, 2)},
      {places + "atom.global.or.b32 %r6, [%rd3], 64; bar.sync 0; ld.global.u32 %r6, [%rd3];", "", grid},
      {places + "@%p1 st.global.u32 [%rd3], 5; atom.global.or.b32 %r6, [%rd3], 64;", "a race", blocks(1, 2)},
      {places + "@%p1 st.global.u32 [%rd3], 5; bar.sync 0; atom.global.or.b32 %r6, [%rd3], 64;", "", grid},
      {places + "@%p1 bra ONE; bra TWO; ONE: setp.eq.s32 %p2, %r1, 0; @%p2 st.global.u32 [%rd1], 5; TWO: "
                "bar.sync 0; "
                "atom.global.or.b32 %r6, [%rd1], 64;",
       "a race", grid},
      // A constant load promises that the launch does not write.
      {"ld.global.nc.u32 %r6, [%rd1];", "", grid},
      {places + all_of_it + "st.global.u32 [%rd4], %r0; ld.global.nc.u32 %r6, [%rd4];",
       "ld.global.nc of memory", grid},
      {places + all_of_it + "ld.global.nc.u32 %r6, [%rd4]; st.global.u32 [%rd4], %r0;",
       "reads by ld.global.nc", grid},
      {places + all_of_it + "ld.global.nc.u32 %r6, [%rd4]; st.global.u32 [%rd4+2048], %r0;", "", grid},
  });
}

CASE("release and acquire hand results from block to block") {
  // Each block writes a word a thread from data + 64 on, counts itself at data, and the last one sums all.
  const auto text = [](const std::string& before, const std::string& atom, const std::string& after,
                       const std::string& load, const std::string& reset = "st.global.u32 [%rd1], 0;") {
    return places + R"(
    mad.lo.s32 %r5, %r1, 8, %r0;
    mul.wide.u32 %rd4, %r5, 4;
    add.s64 %rd4, %rd1, %rd4;
    add.s32 %r6, %r5, 100;
    st.global.u32 [%rd4+64], %r6;
    )" + before +
           "\n    @!%p1 bra NEXT;\n    " + atom + R"( %r7, [%rd1], 1;
    st.shared.u32 [own], %r7;
    NEXT: )" +
           after +
           R"(
    ld.shared.u32 %r8, [own];
    setp.ne.s32 %p2, %r8, 3;
    @%p2 bra DONE;
    mov.u32 %r9, 0;
    mov.u32 %r10, 0;
    LOOP:
    mad.lo.s32 %r11, %r9, 8, %r0;
    mul.wide.u32 %rd5, %r11, 4;
    add.s64 %rd5, %rd1, %rd5;
    )" + load +
           R"( %r12, [%rd5+64];
    add.s32 %r10, %r10, %r12;
    add.s32 %r9, %r9, 1;
    setp.lt.s32 %p3, %r9, 4;
    @%p3 bra LOOP;
    st.global.u32 [%rd2+1024], %r10;
    @%p1 )" +
           reset + "\n    DONE:";
  };
  const std::string bar = "bar.sync 0;";
  const std::string atom = "atom.add.acq_rel.gpu.s32";
  const std::string both = "atom.add.release.gpu.s32 %r13, [%rd1], 0; atom.add.acquire.";
  const std::string exchange = "atom.global.exch.b32 %r13, [%rd1], 0;";
  const Setting grid = blocks(4, 8);
  try_all({
      {text(bar, atom, bar, "ld.global.cg.u32"), "", grid},
      {text(bar, atom, bar, "ld.global.u32"), "", grid},
      {text(bar, atom, bar, "ld.global.nc.u32"), "ld.global.nc of memory that this launch writes", grid},
      {text(bar, "atom.global.add.u32", bar, "ld.global.u32"), "a race: global memory is read", grid},
      {text(bar, "atom.add.release.gpu.s32", bar, "ld.global.u32"), "a race: global memory is read", grid},
      {text(bar, "atom.add.acquire.gpu.s32", bar, "ld.global.u32"), "a race: global memory is read", grid},
      {text("", atom, bar, "ld.global.u32"), "a race: global memory is read", grid},
      {text(bar, both + "gpu.s32", bar, "ld.global.u32", exchange), "", grid},
      // An acquire releases nothing: what comes after it in another block may come before.
      {text(bar, both + "gpu.s32", bar, "ld.global.u32"), "a race: two threads write", grid},
  });
  // All threads of one block read what another one writes, which comes later only by their own barrier.
  const auto handed = [&](const std::string& barrier) {
    return places + "@%p1 atom.global.add.u32 %r6, [%rd1+8], 0; ld.global.u32 %r6, [%rd1+64]; " + barrier +
           " @%p1 atom.add.acq_rel.gpu.s32 %r7, [%rd1], 1; @%p1 st.shared.u32 [own], %r7; bar.sync 0;"
           "ld.shared.u32 %r8, [own]; setp.eq.s32 %p2, %r8, 1; and.pred %p2, %p2, %p1; @%p2 st.global.u32 "
           "[%rd1+64], 1;";
  };
  try_all({{handed(bar), "", blocks(2, 8)},
           {handed(""), "a race", blocks(2, 8)},
           {handed(""), "a race", blocks(2, 2)}});
  Setting setting = grid;
  const Run run = run_text(kernel_of(text(bar, atom, bar, "ld.global.u32")), setting);
  CHECK(run.data[0] == 0);
  for (std::uint32_t thread = 0; thread < 8; ++thread)
    CHECK(run.data[256 + thread] == 4 * (100 + thread) + 48);
}

CASE("loops end, and nothing is divided by zero") {
  try_all({
      {"mov.u32 %r2, 0; div.s32 %r3, 5, %r2;", "a division by zero"},
      {"mov.u64 %rd2, 4294967296; div.u64 %rd3, 5, %rd2; cvt.u32.u64 %r2, %rd2; rem.u32 %r3, 5, %r2;",
       "a division by zero: " + first_line() + " 'rem.u32"},
      {"mov.u32 %r2, -2147483648; div.s32 %r3, %r2, -1;", ""},
      {"mov.f32 %f1, 0f00000000; div.rn.f32 %f2, %f1, %f1;", ""},
  });
  const std::string endless = run_text(kernel_of("LOOP: bra LOOP;"), {}).finding;
  CHECK_MESSAGE(endless.find("a loop without an end") != std::string::npos, endless);
}

CASE("a launch fits its kernel") {
  const auto module = parsed(kernel_of(""));
  HostMemory memory;
  const std::vector<std::byte> parameters(24);
  ptx::Launch launch;
  launch.parameters = parameters;
  CHECK(ptx::run(*module->find("k"), launch, memory).empty());
  const auto finding = [&](auto change) {
    ptx::Launch other = launch;
    change(other);
    return ptx::run(*module->find("k"), other, memory);
  };
  CHECK(finding([](ptx::Launch& one) { one.block.x = 256; }).empty());
  CHECK(finding([](ptx::Launch& one) { one.block.x = 257; }).find("256 are the most") != std::string::npos);
  CHECK(finding([](ptx::Launch& one) { one.block.y = 0; }).find("no threads") != std::string::npos);
  CHECK(finding([](ptx::Launch& one) { one.grid.z = 0; }).find("no blocks") != std::string::npos);
  CHECK(finding([](ptx::Launch& one) { one.parameters = one.parameters.first(23); }).find("23 bytes") !=
        std::string::npos);
}
