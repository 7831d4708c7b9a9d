// The machine that runs PTX on the host: control flow, memory, order, counts; and what it refuses to read.

#include <algorithm>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "check.h"
#include "ptx/fixture.h"
#include "ptx/order.h"

using namespace ptx_fixture;

namespace {

Run run_body(const std::string& body, Setting setting = {}) {
  Run run = run_text(kernel_of(body), std::move(setting));
  CHECK_MESSAGE(run.finding.empty(), run.finding);
  return run;
}

/// What parse says of a kernel with this in its body.
std::string refusal(const std::string& body) {
  std::string wrong;
  CHECK(ptx::Module::parse(kernel_of(body), wrong) == nullptr);
  return wrong;
}

}  // namespace

CASE("what the machine does not know is refused with its line and its text") {
  struct Wrong {
    const char* body;
    const char* text;
  };
  const Wrong all[] = {
      {"foo.u32 %r2, 1;", "no such instruction"},
      {"add.s33 %r2, %r0, 1;", "no such instruction"},
      {"shfl.sync.idx.b32 %r2, %r0, 0, 31, -1;", "no such instruction"},
      {"call foo, (%r2);", "no such instruction"},
      {"bra.other DONE;", "no such instruction"},
      {"ld.global.v3.u32 {%r2, %r3, %r4}, [%rd1];", "no such instruction"},
      {"ld.const.u32 %r2, [%rd1];", "no such instruction"},
      {"ld.volatile.global.u32 %r2, [%rd1];", "no such instruction"},
      {"atom.global.inc.u32 %r2, [%rd1], 1;", "no such instruction"},
      {"setp.lt.and.s32 %p1, %r0, 1, %p2;", "no such instruction"},
      {"add.s32 %rd2, %r0, 1;", "another size"},
      {"add.s32 %r2, %p1, 1;", "another size"},
      {"add.f32 %f1, %f2, 0d3FF0000000000000;", "another type"},
      {"add.f32 %f1, %f2, 0f3F8;", "another type"},
      {"ld.global.u64 %r2, [%rd1];", "another size"},
      {"ld.global.u32 %r2, [%r1];", "another size"},
      {"ld.shared.u32 %r2, [nowhere];", "no number"},
      {"ld.global.u32 %r2, [own];", "another space"},
      {"ld.global.v4.u64 {%rd2, %rd3, %rd4, %rd5}, [%rd1];", "no such type"},
      {"st.param.u32 [k_param_0], %r0;", "not written"},
      {"add.s32 %r2, %r99, 1;", "no register"},
      {"@%r1 bra DONE;", "another size"},
      {"add.s32 %r2, %r0, 1, 2;", "more than"},
      {"add.s32 %r2, %r0;", "ends too early"},
      {"bra NOWHERE;", "no such label"},
      {"HERE: HERE: ret;", "a second label"},
      {".reg .f128 %q<4>;", "no such type"},
      {".const .b32 table[4];", "no such directive"},
      {".local .align 3 .b8 odd[4];", "no such alignment"},
  };
  for (const Wrong& one : all) {
    const std::string wrong = refusal(one.body);
    CHECK_MESSAGE(wrong.find(one.text) != std::string::npos, std::string(one.body) + " -> " + wrong);
    CHECK_MESSAGE(wrong.starts_with(first_line() + ": "), wrong);
  }
  CHECK(refusal("foo.u32 %r2, 1;").find("foo.u32 %r2, 1") != std::string::npos);
  std::string wrong;
  CHECK(ptx::Module::parse(head + ".global .b32 counter;\n", wrong) == nullptr);
  CHECK_MESSAGE(wrong.find("line 4") != std::string::npos && wrong.find(".global") != std::string::npos,
                wrong);
  CHECK(ptx::Module::parse(head + ".entry k() { ret; ", wrong) == nullptr);
  CHECK(ptx::Module::parse(".address_size 32\n", wrong) == nullptr);
  CHECK(ptx::Module::parse(head + ".entry k() { ret; }\n.entry k() { ret; }\n", wrong) == nullptr);
  CHECK_MESSAGE(wrong.find("a second kernel") != std::string::npos, wrong);
}

CASE("a module tells what its kernels take") {
  const auto module = parsed(head + R"(
.shared .align 8 .b8 common[24];
.shared .align 8 .b8 other[8];
.entry plain() { ret; }
.weak .entry k(.param .u32 k_0, .param .align 8 .b8 k_1[20], .param .u16 k_2)
.maxntid 8, 4, 2
{
  .shared .align 16 .b8 first[21];
  .shared .f32 second;
  .reg .b32 %r<2>;
  mov.u32 %r0, common;
  ret;
}
)");
  CHECK(module->kernels().size() == 2);
  CHECK(module->find("nothing") == nullptr);
  const ptx::Kernel* const plain = module->find("plain");
  const ptx::Kernel* const kernel = module->find("k");
  REQUIRE(plain != nullptr && kernel != nullptr);
  CHECK(plain->parameter_bytes() == 0 && plain->shared_bytes() == 0 && plain->threads_max() == 1024);
  CHECK(kernel->name() == "k" && kernel->threads_max() == 64);
  CHECK(kernel->parameters().size() == 3 && kernel->parameter_bytes() == 30);
  CHECK(kernel->parameters()[1].offset == 8 && kernel->parameters()[1].bytes == 20);
  CHECK(kernel->parameters()[2].offset == 28);
  CHECK(kernel->shared_bytes() == 56);  // 21, at 24 four, and at 32 the 24 that it names.
}

CASE("loops, guards and labels lead where they say") {
  // Sum of the odd numbers below the thread's, by a loop with a guarded addition; then two ways out.
  const Run run = run_body(R"(
    mov.u32 %r2, 0;
    mov.u32 %r3, 0;
    bra.uni TEST;
  LOOP:
    .pragma "nounroll";
    and.b32 %r4, %r3, 1;
    setp.eq.s32 %p1, %r4, 1;
    @%p1 add.s32 %r2, %r2, %r3;
    @!%p1 add.s32 %r5, %r3, 0;
    add.s32 %r3, %r3, 1;
  TEST:
    setp.lt.s32 %p2, %r3, %r0;
    @%p2 bra LOOP;
    mul.wide.u32 %rd2, %r0, 4;
    add.s64 %rd3, %rd1, %rd2;
    st.global.u32 [%rd3], %r2;
    setp.ge.u32 %p3, %r0, 10;
    @%p3 ret;
    /* a comment
       of two lines */
    { .reg .b32 %r2; mov.u32 %r2, 7; st.global.u32 [%rd3+256], %r2; }
    @!%p3 bra.uni DONE;
    st.global.u32 [%rd3+256], %r0;
  DONE:)",
                           {.block = {20, 1, 1}});
  for (std::uint32_t thread = 0; thread < 20; ++thread) {
    std::uint32_t sum = 0;
    for (std::uint32_t number = 1; number < thread; number += 2) sum += number;
    CHECK(run.data[thread] == sum);
    CHECK(run.data[64 + thread] == (thread < 10 ? 7U : 0U));
  }
}

CASE("threads and blocks know their places") {
  const Run run = run_body(R"(
    mov.u32 %r2, %tid.y;     mov.u32 %r3, %tid.z;    mov.u32 %r4, %ntid.x;  mov.u32 %r5, %ntid.y;
    mov.u32 %r6, %ctaid.y;   mov.u32 %r7, %ctaid.z;  mov.u32 %r8, %nctaid.x; mov.u32 %r9, %nctaid.y;
    mov.u32 %r10, %ntid.z;
    mad.lo.s32 %r11, %r3, %r5, %r2;
    mad.lo.s32 %r11, %r11, %r4, %r0;
    mad.lo.s32 %r12, %r7, %r9, %r6;
    mad.lo.s32 %r12, %r12, %r8, %r1;
    mul.lo.s32 %r13, %r4, %r5;
    mul.lo.s32 %r13, %r13, %r10;
    mad.lo.s32 %r14, %r12, %r13, %r11;
    mul.wide.s32 %rd2, %r14, 4;
    add.s64 %rd2, %rd1, %rd2;
    mov.u32 %r15, %laneid;
    mad.lo.s32 %r15, %r14, 100, %r15;
    st.global.u32 [%rd2], %r15;)",
                           {.grid = {2, 3, 4}, .block = {5, 4, 2}, .data = std::vector<std::uint32_t>(960)});
  for (std::uint32_t at = 0; at < 960; ++at) CHECK(run.data[at] == at * 100 + at % 40 % 32);
}

CASE("memory of every kind is read and written in every width") {
  Setting setting;
  setting.data[0] = 0x80ff7f01;
  setting.data[1] = 0xfffffffe;
  const Run run = run_body(R"(
    .local .align 16 .b8 depot[32];
    .reg .b64 %SP, %SPL;
    ld.global.s8 %r2, [%rd1+2];    st.global.u32 [%rd1+16], %r2;
    ld.global.u8 %rs1, [%rd1+3];   st.global.u16 [%rd1+20], %rs1;
    ld.global.s16 %rd2, [%rd1+2];  st.global.u64 [%rd1+24], %rd2;
    ld.global.nc.s32 %rd3, [%rd1+4]; st.global.cg.u64 [%rd1+32], %rd3;
    st.global.u8 [%rd1+22], %rd3;
    mov.u64 %SPL, depot;
    cvta.local.u64 %SP, %SPL;
    st.local.v2.u32 [%SPL+8], {%r2, 5};
    ld.v2.u32 {%r3, %r4}, [%SP+8];
    st.global.v2.u32 [%rd1+40], {%r3, %r4};
    mov.u32 %r5, own;
    st.shared.v4.u32 [%r5+16], {1, 2, 3, 4};
    mov.u64 %rd4, own;
    cvta.shared.u64 %rd5, %rd4;
    ld.v4.u32 {%r6, %r7, %r8, %r9}, [%rd5+16];
    st.global.v4.u32 [%rd1+48], {%r9, %r8, %r7, %r6};
    cvta.to.shared.u64 %rd6, %rd5;
    ld.shared.u32 %r10, [%rd6+20];
    st.shared.u32 [more+60], %r10;
    ld.shared.u32 %r10, [more+60];
    st.global.u32 [%rd1+64], %r10;
    mov.b64 %rd7, k_param_1;
    ld.param.u8 %r11, [%rd7];      st.global.u32 [%rd1+68], %r11;
    ld.u8 %r12, [%rd7];            st.global.u32 [%rd1+72], %r12;
    ld.param.u8 %rs2, [k_param_1+1]; st.global.u8 [%rd1+73], %rs2;
    mov.b32 {%rs3, %rs4}, %r2;     mov.b32 %r13, {%rs4, %rs3};  st.global.u32 [%rd1+76], %r13;
    mov.b64 {%r14, %r15}, %rd2;    mov.b64 %rd8, {%r15, 9};     st.global.u64 [%rd1+80], %rd8;
    atom.global.add.u32 %r16, [%rd1+64], 40; st.global.u32 [%rd1+88], %r16;
    atom.global.cas.b32 %r17, [%rd1+64], 42, 50; st.global.u32 [%rd1+92], %r17;
    atom.shared.max.s32 %r18, [%r5+16], -1; st.global.u32 [%rd1+96], %r18;
    atom.exch.b64 %rd9, [%rd1+80], -1; st.global.u64 [%rd1+104], %rd9;)",
                           setting);
  const auto wide = [&](std::size_t at) { return run.data[at] | std::uint64_t{run.data[at + 1]} << 32; };
  CHECK(run.data[4] == 0xffffffffU);
  CHECK(run.data[5] == 0x00fe0080U);
  CHECK(wide(6) == 0xffffffffffff80ffULL);
  CHECK(wide(8) == 0xfffffffffffffffeULL);
  CHECK(run.data[10] == 0xffffffffU && run.data[11] == 5);
  CHECK(run.data[12] == 4 && run.data[13] == 3 && run.data[14] == 2 && run.data[15] == 1);
  CHECK(run.data[16] == 50);
  CHECK(run.data[17] == 77 && run.data[18] == 77);
  CHECK(run.data[19] == 0xffffffffU);
  CHECK(wide(20) == ~std::uint64_t{0});
  CHECK(run.data[22] == 2 && run.data[23] == 42 && run.data[24] == 1);
  CHECK(wide(26) == 0x9ffffffffULL);
}

CASE("local memory is each thread's own") {
  const Run run = run_body(R"(
    .local .align 8 .b8 depot[8];
    st.local.u32 [depot], %r0;
    bar.sync 0;
    ld.local.u32 %r2, [depot];
    mul.wide.u32 %rd2, %r0, 4;
    add.s64 %rd2, %rd1, %rd2;
    st.global.u32 [%rd2], %r2;)",
                           {.block = {40, 1, 1}});
  for (std::uint32_t thread = 0; thread < 40; ++thread) CHECK(run.data[thread] == thread);
}

CASE("seeds decide the order of blocks and of threads, each always the same") {
  // Every thread takes a number, and writes which one it took.
  const std::string body = R"(
    atom.global.add.u32 %r2, [%rd1], 1;
    mov.u32 %r3, %ntid.x;
    mad.lo.s32 %r4, %r1, %r3, %r0;
    mul.wide.s32 %rd2, %r4, 4;
    add.s64 %rd3, %rd1, %rd2;
    st.global.u32 [%rd3+4], %r2;)";
  std::set<std::vector<std::uint32_t>> orders;
  std::set<std::uint32_t> first_blocks;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Setting setting{.grid = {6, 1, 1}, .block = {5, 1, 1}, .seed = seed};
    const Run run = run_body(body, setting);
    CHECK(run.data[0] == 30);
    CHECK(run_body(body, setting).data == run.data);
    std::vector<std::uint32_t> order(run.data.begin() + 1, run.data.begin() + 31);
    orders.insert(order);
    for (std::uint32_t block = 0; block < 6; ++block) {
      const auto begin = order.begin() + block * 5;
      const auto [least, most] = std::minmax_element(begin, begin + 5);
      CHECK(*most - *least == 4);  // Blocks come one after the other.
      if (*least == 0) first_blocks.insert(block);
    }
    std::sort(order.begin(), order.end());
    for (std::uint32_t at = 0; at < 30; ++at) CHECK(order[at] == at);
  }
  CHECK(orders.size() == 20);
  CHECK(first_blocks.size() > 3);
}

CASE("threads come in another order after a barrier") {
  const std::string number = "atom.global.add.u32 %r2, [%rd1], 1; st.global.u32 [%rd2+4], %r2; ";
  const std::string again = "atom.global.add.u32 %r2, [%rd1], 1; st.global.u32 [%rd2+68], %r2; ";
  std::set<std::vector<std::uint32_t>> orders;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const Run run =
        run_body("mul.wide.u32 %rd2, %r0, 4; add.s64 %rd2, %rd1, %rd2; " + number + "bar.sync 0; " + again,
                 {.block = {16, 1, 1}, .seed = seed});
    orders.insert({run.data.begin() + 1, run.data.begin() + 17});
    std::vector<std::uint32_t> second(run.data.begin() + 17, run.data.begin() + 33);
    for (std::uint32_t& one : second) one -= 16;
    orders.insert(second);
  }
  CHECK(orders.size() == 10);
}

CASE("requests, sectors, passes, barriers and instructions are counted") {
  struct Expected {
    const char* body;
    ptx::Counts counts;  ///< Instructions of one thread, beside the fixture's five and the last ret.
  };
  // 64 threads: two warps, in each of two blocks.
  const std::string at_four = "mul.wide.u32 %rd2, %r0, 4; add.s64 %rd2, %rd1, %rd2;";
  const std::string shared_at = "mov.u32 %r2, own; and.b32 %r3, %r0, 15; ";
  const std::vector<std::pair<std::string, ptx::Counts>> all = {
      {"", {0, 0, 0, 0, 0, 0}},
      {"bar.sync 0; bar.sync 0;", {2, 0, 0, 0, 0, 4}},
      {at_four + "ld.global.u32 %r2, [%rd2];", {3, 4, 16, 0, 0, 0}},
      {"ld.global.u32 %r2, [%rd1];", {1, 4, 4, 0, 0, 0}},
      {"mul.wide.u32 %rd2, %r0, 32; add.s64 %rd2, %rd1, %rd2; ld.global.v2.u32 {%r2, %r3}, [%rd2];",
       {3, 4, 128, 0, 0, 0}},
      {"setp.eq.s32 %p1, %r0, 40; @%p1 ld.global.u32 %r2, [%rd1];", {2, 2, 2, 0, 0, 0}},
      // Twice by a loop: two requests of one instruction.
      {"mov.u32 %r2, 0; LOOP: ld.global.u32 %r3, [%rd1]; add.s32 %r2, %r2, 1; setp.lt.s32 %p1, %r2, 2; @%p1 "
       "bra LOOP;",
       {9, 8, 8, 0, 0, 0}},
      {"atom.global.add.u32 %r2, [%rd1], 1;", {1, 0, 0, 0, 0, 0}},
  };
  for (const auto& [body, expected] : all) {
    ptx::Counts counts;
    (void)run_body(body, {.grid = {2, 1, 1}, .block = {64, 1, 1}, .counts = &counts});
    const std::string at = body + ": ";
    CHECK_MESSAGE(counts.instructions == 128 * (expected.instructions + 5),
                  at + std::to_string(counts.instructions));
    CHECK_MESSAGE(counts.global_requests == expected.global_requests,
                  at + std::to_string(counts.global_requests));
    CHECK_MESSAGE(counts.global_sectors == expected.global_sectors,
                  at + std::to_string(counts.global_sectors));
    CHECK_MESSAGE(counts.barriers == expected.barriers, at + std::to_string(counts.barriers));
    CHECK(counts.shared_requests == 0 && counts.shared_passes == 0);
  }
  // One warp writes shared memory at a stride; passes a request by its bytes and its stride.
  const auto passes = [](const std::string& store, int stride) {
    ptx::Counts counts;
    (void)run_body("mov.u32 %r2, more; mad.lo.s32 %r3, %r0, " + std::to_string(stride) + ", %r2; " + store,
                   {.block = {32, 1, 1}, .dynamic_shared_bytes = 32768, .counts = &counts});
    CHECK(counts.shared_requests == 1);
    return counts.shared_passes;
  };
  const std::string one = "st.shared.u32 [%r3], 0;";
  CHECK(passes(one, 4) == 1);
  CHECK(passes(one, 8) == 2);
  CHECK(passes(one, 128) == 32);
  CHECK(passes(one, 132) == 1);
  CHECK(passes("st.shared.u8 [%r3], 0;", 1) == 1);
  CHECK(passes("st.shared.v2.u32 [%r3], {0, 0};", 8) == 2);
  CHECK(passes("st.shared.v4.u32 [%r3], {0, 0, 0, 0};", 16) == 4);
  CHECK(passes("st.shared.v4.u32 [%r3], {0, 0, 0, 0};", 32) == 8);
  // All threads ask for the same 16 bytes: a quarter of the warp at a time.
  ptx::Counts counts;
  (void)run_body(
      "setp.eq.s32 %p1, %r0, 0; @%p1 st.shared.v4.u32 [own], {1, 2, 3, 4}; bar.sync 0; "
      "ld.shared.v4.u32 {%r5, %r6, %r7, %r8}, [own];",
      {.block = {32, 1, 1}, .counts = &counts});
  CHECK(counts.shared_requests == 2 && counts.shared_passes == 1 + 4);
}

CASE("what one block acquired from another one it passes on") {
  ptx::Order order;
  order.begin_block();
  const ptx::Segment early = order.segment();
  order.barrier();
  const ptx::Segment own = order.segment();
  order.release(100, 3);
  const ptx::Segment late = order.segment();
  order.begin_block();
  CHECK(!order.ordered(early, 1, 0));
  order.acquire(100, 5);
  CHECK(order.ordered(early, 1, 5) && order.ordered(own, 3, 5));
  CHECK(!order.ordered(early, 1, 6));                              // Not before a barrier.
  CHECK(!order.ordered(own, 4, 5) && !order.ordered(late, 3, 5));  // Another thread's, and what came after.
  order.barrier();
  CHECK(order.ordered(early, 1, 6) && order.ordered(own, 3, 6));
  order.release(200, 6);
  order.begin_block();
  order.acquire(300, 0);
  CHECK(!order.ordered(early, 1, 0));
  order.acquire(200, 0);
  CHECK(order.ordered(early, 1, 0) && order.ordered(own, 3, 0) && !order.ordered(late, 3, 0));
}
