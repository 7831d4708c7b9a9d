# ONNX Runtime beside whatever loads it: the core looks for it in the folder of its own module.
set(TRT_ASR_ORT_LIBRARY "" CACHE FILEPATH "ONNX Runtime's library, on machines without Node; by default the one of the package onnxruntime-node")
if(TRT_ASR_ORT_LIBRARY)
  function(trt_asr_vendor_ort target folder)
    add_custom_command(
      OUTPUT "${folder}/libtrt_asr_onnxruntime.so"
      COMMAND "${CMAKE_COMMAND}" -E make_directory "${folder}"
      COMMAND "${CMAKE_COMMAND}" -E copy "${TRT_ASR_ORT_LIBRARY}" "${folder}/libtrt_asr_onnxruntime.so"
      DEPENDS "${TRT_ASR_ORT_LIBRARY}"
      COMMENT "Putting ONNX Runtime into ${folder}" VERBATIM)
    add_custom_target(${target} ALL DEPENDS "${folder}/libtrt_asr_onnxruntime.so")
  endfunction()
  return()
endif()
find_program(TRT_ASR_NODE NAMES node nodejs REQUIRED)

# Asking Node finds the package beside this checkout as well as where npm hoists it above this folder.
execute_process(
  COMMAND "${TRT_ASR_NODE}" -p
    "require('path').dirname(require.resolve('onnxruntime-node/package.json', { paths: [process.argv[1]] }))" "${CMAKE_SOURCE_DIR}"
  OUTPUT_VARIABLE TRT_ASR_ORT_PACKAGE OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed ERROR_QUIET)
if(failed)
  message(FATAL_ERROR "npm package 'onnxruntime-node' is not installed; run: npm install --no-save --ignore-scripts onnxruntime-node@1.30.0")
endif()

# As Node names the processor, which is another than Node's own where this is a cross-build.
set(TRT_ASR_ARCH)
if(CMAKE_CROSSCOMPILING AND CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
  set(TRT_ASR_ARCH arm64)
endif()

# Adds a target that puts the library into the folder when it is missing or older than the package's.
function(trt_asr_vendor_ort target folder)
  set(script "${CMAKE_SOURCE_DIR}/tools/native-build/vendor-ort.js")
  add_custom_command(
    OUTPUT "${folder}/libtrt_asr_onnxruntime.so"
    COMMAND "${TRT_ASR_NODE}" "${script}" "${TRT_ASR_ORT_PACKAGE}" "${folder}" ${TRT_ASR_ARCH}
    DEPENDS "${script}" "${TRT_ASR_ORT_PACKAGE}/package.json"
    COMMENT "Putting ONNX Runtime into ${folder}" VERBATIM)
  add_custom_target(${target} ALL DEPENDS "${folder}/libtrt_asr_onnxruntime.so")
endfunction()
