# libtrt_asr_cuda.so: devices, memory, graphs and kernels, with the CUDA runtime inside. A library of its own, loaded at run time, so
# that nothing else links anything of NVIDIA's. Built where nvcc is; every other target builds and passes its tests without it.
option(TRT_ASR_CUDA "Build the CUDA library where nvcc is found" ON)
# SOURCE: the GPUs that TensorRT 10 and 11 support since Ampere; 8.6 and 8.9 run the binary of 8.0, 12.1 that of 12.0 (CUDA, binary
# compatibility), and the PTX of the last one serves later GPUs. WHY: a GPU without a binary would compile the kernels when the library
# is first used, and each one more is a megabyte and half a minute of the build.
set(TRT_ASR_CUDA_ARCHITECTURES 80-real 90-real 100-real 120 CACHE STRING "GPUs that the CUDA library has binaries for")

# Puts the library into the folder that its loader looks in: beside the module that the core is part of.
function(trt_asr_place_cuda target folder)
  add_custom_command(
    OUTPUT "${folder}/libtrt_asr_cuda.so"
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${folder}"
    COMMAND "${CMAKE_COMMAND}" -E copy "$<TARGET_FILE:trt_asr_cuda>" "${folder}/libtrt_asr_cuda.so"
    DEPENDS trt_asr_cuda
    COMMENT "Putting the CUDA library into ${folder}" VERBATIM)
  add_custom_target(${target} ALL DEPENDS "${folder}/libtrt_asr_cuda.so")
endfunction()

if(NOT TRT_ASR_CUDA)
  message(STATUS "CUDA library: skipped, TRT_ASR_CUDA is off")
  return()
endif()
if(TRT_ASR_SANITIZE)
  message(STATUS "CUDA library: skipped, nvcc knows no sanitizers")
  return()
endif()

if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES ${TRT_ASR_CUDA_ARCHITECTURES})
endif()
include(CheckLanguage)
set(CMAKE_MESSAGE_LOG_LEVEL_BEFORE "${CMAKE_MESSAGE_LOG_LEVEL}")
set(CMAKE_MESSAGE_LOG_LEVEL NOTICE)
check_language(CUDA)
set(CMAKE_MESSAGE_LOG_LEVEL "${CMAKE_MESSAGE_LOG_LEVEL_BEFORE}")
if(NOT CMAKE_CUDA_COMPILER)
  message(STATUS "CUDA library: skipped, no nvcc")
  return()
endif()
enable_language(CUDA)

add_library(trt_asr_cuda SHARED
  native/engine/cuda/library/failure.cpp native/engine/cuda/library/library.cpp native/engine/cuda/library/runtime.cpp
  native/engine/cuda/library/kernels.cu native/engine/cuda/library/search.cu)
set_target_properties(trt_asr_cuda PROPERTIES
  CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON CUDA_EXTENSIONS OFF CUDA_VISIBILITY_PRESET hidden
  CUDA_RUNTIME_LIBRARY Static LINKER_LANGUAGE CXX LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/cuda")
target_include_directories(trt_asr_cuda PRIVATE native)
target_include_directories(trt_asr_cuda SYSTEM PRIVATE ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
# The host half of a .cu is code that nvcc writes: -Wextra and -Wconversion are for what we write. C++17 is the newest
# that CMake knows of nvcc before 3.26; the kernels need no more.
target_compile_options(trt_asr_cuda PRIVATE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Werror>
  $<$<COMPILE_LANGUAGE:CUDA>:--Werror=all-warnings -Xcompiler=-Wall,-Werror --threads=2>)
# One symbol goes out, and of the machine nothing but glibc is asked.
target_link_options(trt_asr_cuda PRIVATE -static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL -Wl,--gc-sections -Wl,-z,now)
if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_link_options(trt_asr_cuda PRIVATE -Wl,--strip-all)
endif()
message(STATUS "CUDA library: nvcc ${CMAKE_CUDA_COMPILER_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}")

if(TRT_ASR_ADDON)
  trt_asr_place_cuda(trt_asr_addon_cuda "${TRT_ASR_ADDON_DIR}")
endif()
if(TRT_ASR_TESTS)
  trt_asr_place_cuda(trt_asr_test_cuda "${CMAKE_BINARY_DIR}/test/native")
endif()
