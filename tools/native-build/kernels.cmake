# The packed engine's kernels: one file per instruction set, compiled for it and chosen at run time. All else stays on the
# processor's baseline. A file whose instruction set the compiler or the target lacks compiles to nothing but "not there".
include(CheckCXXSourceCompiles)
function(trt_asr_kernel_options pattern)
  string(REPLACE ";" " " CMAKE_REQUIRED_FLAGS "${ARGN}")
  string(MAKE_C_IDENTIFIER "TRT_ASR_COMPILES${CMAKE_REQUIRED_FLAGS}" known)
  check_cxx_source_compiles("int main() { return 0; }" ${known})
  if(${known})
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/native/engine/packed/kernels/${pattern})
    set_property(SOURCE ${sources} APPEND PROPERTY COMPILE_OPTIONS ${ARGN})
  endif()
endfunction()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  trt_asr_kernel_options(*_avx2.cpp -mavx2 -mfma)
  trt_asr_kernel_options(*_avx_vnni.cpp -mavx2 -mfma -mavxvnni)
  trt_asr_kernel_options(*_avx512.cpp -mavx2 -mfma -mavx512f)
  trt_asr_kernel_options(*_avx512_vnni.cpp -mavx2 -mfma -mavx512f -mavx512vl -mavx512bw -mavx512dq -mavx512vnni)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64|ARM64")
  trt_asr_kernel_options(*_neon_dot.cpp -march=armv8.2-a+dotprod)
endif()
# What is rounded to integers must be rounded alike on every processor; fused products are written as such.
trt_asr_kernel_options(linear_*.cpp -ffp-contract=off)
# Comparisons of numbers that may be NaN become selections, which vectors can do, instead of branches.
trt_asr_kernel_options(prediction_*.cpp -fno-trapping-math)
