// Every kernel of the CUDA library as nvcc compiled it, in PTX, against its body on the host: the cases of
// tools/gpu-validate, as many of them as a machine without a GPU has time for.

#include <fstream>

#include "../../tools/gpu-validate/native/job.h"
#include "check.h"
#include "gpu_fixture.h"

CASE("kernels over PTX: what their bodies give, case by case, and nothing that a GPU would punish") {
  const gpu_fixture::Tidy tidy;
  const gpu_fixture::Folder folder;
  const std::string path = folder.path() / "job";
  std::ofstream(path) << "tensorrt " << gpu_fixture::stand_ins << "\nplugins " << gpu_fixture::stand_ins
                      << "\nrounds 40\nseed 20\n";
  const auto job = validate::Job::read(path);
  REQUIRE_OK(job);
  validate::Outcome outcome;
  REQUIRE_OK(validate::run_kernels(job.value(), outcome));
  CHECK_MESSAGE(!outcome.failed(), outcome.document().text());
  const auto not_loaded =
      trt_asr::find_symbol<long()>(gpu_fixture::open("libtrt_asr_cuda.so"), "stand_in_kernels_not_loaded");
  // The part has prepared the library, which loads every kernel there is.
  CHECK(not_loaded() == 0);
  std::printf("    %s\n", outcome.figures.text().c_str());
}
