# SPDX-License-Identifier: MIT
# One toolchain file: clang and lld 19 for every machine; VERDANT_ARCH (set by the preset) chooses the target.
set(CMAKE_C_COMPILER clang-19)
set(CMAKE_ASM_COMPILER clang-19)
set(CMAKE_OBJCOPY llvm-objcopy-19)
set(CMAKE_AR llvm-ar-19)
set(CMAKE_RANLIB llvm-ranlib-19)
set(CMAKE_NM llvm-nm-19)

# CMake's own test compilations see only these variables, not the cache of the project.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES VERDANT_ARCH)

if(NOT VERDANT_ARCH STREQUAL "host")
  set(CMAKE_SYSTEM_NAME Generic)
  set(CMAKE_SYSTEM_PROCESSOR ${VERDANT_ARCH})
  set(cpu ${VERDANT_ARCH})
  if(cpu STREQUAL "null")
    set(cpu ${CMAKE_HOST_SYSTEM_PROCESSOR}) # it names no instruction: any will do
  endif()
  set(CMAKE_C_COMPILER_TARGET ${cpu}-unknown-none-elf)
  set(CMAKE_ASM_COMPILER_TARGET ${cpu}-unknown-none-elf)
  # lld itself, not through the compiler driver, which would look for a hosted linker on some targets.
  set(CMAKE_C_LINK_EXECUTABLE "ld.lld-19 <LINK_FLAGS> <OBJECTS> -o <TARGET> <LINK_LIBRARIES>")
  # There is no libc to link a test program with.
  set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
endif()
