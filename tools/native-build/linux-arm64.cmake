# Cross-compiles for Linux on 64-bit ARM, and runs what was compiled under QEMU:
#   cmake -S . -B build/arm64-tests --toolchain tools/native-build/linux-arm64.cmake -DTRT_ASR_ADDON=OFF -DTRT_ASR_TESTS=ON -DTRT_ASR_CUDA=OFF
# Debian's g++-aarch64-linux-gnu and qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
# Every extension that the emulator knows, as the kernels ask at run time.
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64;-L;/usr/aarch64-linux-gnu;-cpu;max")
