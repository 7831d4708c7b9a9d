// trt_asr_gpu_validate PART JOB OUT: one part of the validation; see ../README.md. Exits 0 when the part
// passed or was skipped, 1 when it failed, 2 when it was called wrongly.

#include <cstdio>
#include <cstring>
#include <fstream>

#include "job.h"

namespace {

struct Part {
  const char* name;
  trt_asr::Status (*run)(const validate::Job& job, validate::Outcome& outcome);
};

constexpr Part parts[] = {
    {"probe", validate::run_probe},
    {"kernels", validate::run_kernels},
    {"decode", validate::run_decode},
    {"engines", validate::run_engines},
    {"parity", validate::run_parity},
    {"throughput", validate::run_throughput},
    {"recordings", validate::run_recordings},
    {"latency", validate::run_latency},
    {"live", validate::run_live},
    {"streaming", validate::run_streaming},
};

int usage(const std::string& why) {
  std::fprintf(stderr, "trt_asr_gpu_validate: %s\nusage: trt_asr_gpu_validate PART JOB OUT, PART one of",
               why.c_str());
  for (const Part& part : parts) std::fprintf(stderr, " %s", part.name);
  std::fprintf(stderr, "\n");
  return 2;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) return usage("three arguments are needed");
  const auto job = validate::Job::read(arguments[2]);
  if (!job.ok()) return usage(job.error().message());
  for (const Part& part : parts) {
    if (std::strcmp(part.name, arguments[1]) != 0) continue;
    validate::Outcome outcome;
    const validate::Stopwatch stopwatch;
    if (const trt_asr::Status status = part.run(job.value(), outcome); !status.ok())
      outcome.expect(false, status.error().message());
    validate::Json document = outcome.document();
    document.set("seconds", stopwatch.seconds());
    std::ofstream file(arguments[3]);
    file << document.text() << "\n";
    file.close();
    if (!file) return usage(std::string(arguments[3]) + " cannot be written");
    return outcome.failed() ? 1 : 0;
  }
  return usage(std::string("no part ") + arguments[1]);
}
