# The Node add-on: build/Release/trt_asr.node, whatever build tree CMake runs in. `bindings` and prebuildify
# both look there first, and gyp owns build/Makefile, so CMake's own files live apart in build/cmake.
set(TRT_ASR_ADDON_DIR "${CMAKE_SOURCE_DIR}/build/Release" CACHE PATH "Folder that receives trt_asr.node")

# Asking Node, which ort.cmake found, for the two header packages finds them beside this checkout as well as in the node_modules of
# a consumer, where npm hoists them above this folder.
function(trt_asr_header_package name out)
  execute_process(
    COMMAND "${TRT_ASR_NODE}" -p "require('path').dirname(require.resolve('${name}/package.json', { paths: [process.argv[1]] }))" "${CMAKE_SOURCE_DIR}"
    OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed ERROR_QUIET)
  if(failed)
    message(FATAL_ERROR "npm package '${name}' is not installed; run: npm install --no-save ${name}")
  endif()
  set(${out} "${folder}" PARENT_SCOPE)
endfunction()
trt_asr_header_package(node-addon-api node_addon_api)
trt_asr_header_package(node-api-headers node_api_headers)

file(GLOB addon_sources CONFIGURE_DEPENDS native/node/*.cpp)
add_library(trt_asr_addon MODULE ${addon_sources})
set_target_properties(trt_asr_addon PROPERTIES
  OUTPUT_NAME trt_asr PREFIX "" SUFFIX .node LIBRARY_OUTPUT_DIRECTORY "$<1:${TRT_ASR_ADDON_DIR}>")
# The headers of others are SYSTEM: our warnings are not their business.
target_include_directories(trt_asr_addon SYSTEM PRIVATE "${node_addon_api}" "${node_api_headers}/include")
target_compile_definitions(trt_asr_addon PRIVATE
  NAPI_VERSION=8 NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS NODE_ADDON_API_DISABLE_DEPRECATED
  # A thread that is being terminated can throw nothing; that must not end the process.
  NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS)
target_compile_options(trt_asr_addon PRIVATE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Werror)
target_link_libraries(trt_asr_addon PRIVATE trt_asr_core)

if(APPLE)
  # Node's own symbols are in the executable that loads the module.
  target_link_options(trt_asr_addon PRIVATE -undefined dynamic_lookup)
elseif(UNIX)
  # A module that carries its C++ runtime asks nothing but glibc of the machine, and one that exports the two
  # Node-API entries alone cannot clash with another add-on in the same process. Bound at
  # once, a symbol that is missing shows when the module is loaded and not in the middle of a transcription.
  target_link_options(trt_asr_addon PRIVATE -static-libstdc++ -static-libgcc
    "-Wl,--version-script=${CMAKE_CURRENT_LIST_DIR}/addon.map" -Wl,--exclude-libs,ALL -Wl,--gc-sections -Wl,-z,now)
  set_target_properties(trt_asr_addon PROPERTIES LINK_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/addon.map")
endif()
