# The CUDA runtime of the host, over the machine that runs PTX. Its own test needs no nvcc.
if(TRT_ASR_CUDA_HEADERS)
  add_library(ptx_runtime OBJECT
    stand_ins/ptx_counts.cpp stand_ins/ptx_cudart.cpp stand_ins/ptx_launch.cpp stand_ins/ptx_module.cpp)
  target_include_directories(ptx_runtime PRIVATE ${CMAKE_SOURCE_DIR}/native)
  target_include_directories(ptx_runtime SYSTEM PRIVATE ${TRT_ASR_CUDA_HEADERS})
  target_compile_options(ptx_runtime PRIVATE -Wall -Wextra -Werror)
  target_sources(ptx_runtime_test PRIVATE $<TARGET_OBJECTS:ptx_runtime> $<TARGET_OBJECTS:host_calls>)
  target_include_directories(ptx_runtime_test SYSTEM PRIVATE ${TRT_ASR_CUDA_HEADERS})
  target_link_libraries(ptx_runtime_test PRIVATE ptx_machine)
endif()

# A folder of stand-ins whose CUDA library is the real one, host code and kernels: nvcc compiles the kernels to PTX alone, which a
# machine on the host runs. The other stand-ins in it are those of the GPU's host side.
set(ptx_stand_ins "${CMAKE_CURRENT_BINARY_DIR}/stand_ins/ptx")
if(NOT TARGET trt_asr_cuda OR NOT TARGET ptx_runtime)
  message(STATUS "Tests over PTX: skipped, no CUDA library or headers")
  return()
endif()
set(library "${CMAKE_SOURCE_DIR}/native/engine/cuda/library")
add_library(ptx_cuda MODULE ${library}/failure.cpp ${library}/library.cpp ${library}/runtime.cpp
  ${library}/kernels.cu ${library}/search.cu $<TARGET_OBJECTS:ptx_runtime> $<TARGET_OBJECTS:host_calls>)
target_include_directories(ptx_cuda PRIVATE ${CMAKE_SOURCE_DIR}/native)
target_include_directories(ptx_cuda SYSTEM PRIVATE ${TRT_ASR_CUDA_HEADERS})
target_compile_options(ptx_cuda PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Werror> $<$<COMPILE_LANGUAGE:CUDA>:--no-compress>)
target_link_libraries(ptx_cuda PRIVATE ptx_machine Threads::Threads)
target_link_options(ptx_cuda PRIVATE -Wl,-soname,libtrt_asr_cuda.so)
set_target_properties(ptx_cuda PROPERTIES
  CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON CUDA_EXTENSIONS OFF CUDA_VISIBILITY_PRESET hidden CUDA_ARCHITECTURES 80-virtual
  CUDA_RUNTIME_LIBRARY None LINKER_LANGUAGE CXX PREFIX "" SUFFIX "" OUTPUT_NAME libtrt_asr_cuda.so
  LIBRARY_OUTPUT_DIRECTORY "${ptx_stand_ins}")
foreach(file libcuda.so.1 libtrt_asr_tensorrt_11.so libnvinfer.so.11 libtrt_asr_onnxruntime.so)
  list(APPEND ptx_links COMMAND "${CMAKE_COMMAND}" -E create_symlink "${gpu_stand_ins}/${file}" "${ptx_stand_ins}/${file}")
endforeach()
add_custom_command(TARGET ptx_cuda POST_BUILD ${ptx_links} VERBATIM)
add_dependencies(ptx_cuda host_driver host_tensorrt host_version)

# The kernels' cases of tools/gpu-validate, in a program of the tests.
set(validate "${CMAKE_SOURCE_DIR}/tools/gpu-validate/native")
target_sources(ptx_kernels_test PRIVATE ${validate}/counts.cpp ${validate}/job.cpp ${validate}/kernels.cpp ${validate}/kernels_moves.cpp
  ${validate}/kernels_search.cpp ${validate}/kernels_search_time.cpp ${validate}/kernels_transducer.cpp ${validate}/lockstep.cpp)
# WHY: one compile of what all of them include takes a third of nine.
set_target_properties(ptx_kernels_test PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
target_compile_definitions(ptx_kernels_test PRIVATE TRT_ASR_GPU_STAND_INS="${ptx_stand_ins}")
add_dependencies(ptx_kernels_test ptx_cuda)

# Cases of other tests once more, with the kernels as nvcc compiled them: from audio through the front end's kernels, an encoder in ONNX
# Runtime and the search's kernels, as CUDA graphs, to tokens. WHY these: what takes seconds.
function(trt_asr_over_ptx test)
  add_test(NAME ${test}_ptx COMMAND ${test}_test ${ARGN})
  set_tests_properties(${test}_ptx PROPERTIES ENVIRONMENT "TRT_ASR_TEST_STAND_INS=${ptx_stand_ins}")
  add_dependencies(${test}_test ptx_cuda)
endfunction()
trt_asr_over_ptx(gpu_search "a slot goes on" "windows shorter" "a network that is not")
trt_asr_over_ptx(gpu_streaming "a row that fails leaves" "chunks and rows")
message(STATUS "Tests over PTX: nvcc ${CMAKE_CUDA_COMPILER_VERSION}")
