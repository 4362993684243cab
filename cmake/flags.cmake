# SPDX-License-Identifier: MIT
# k_flags: what every kernel object is compiled with, on every machine. Each flag says why.
add_library(k_flags INTERFACE)

option(VERDANT_EXAMPLE_CLASS "build the scheduling class of docs/SCHEDULING-CLASS.md" OFF)

target_compile_features(k_flags INTERFACE c_std_23)
target_include_directories(k_flags INTERFACE
  ${CMAKE_SOURCE_DIR}/include
  ${CMAKE_SOURCE_DIR}/arch/${VERDANT_ARCH}/include)
target_compile_definitions(k_flags INTERFACE
  $<$<CONFIG:Debug>:KERNEL_DEBUG=1>$<$<NOT:$<CONFIG:Debug>>:KERNEL_DEBUG=0>
  KERNEL_EXAMPLE_CLASS=$<BOOL:${VERDANT_EXAMPLE_CLASS}>)

target_compile_options(k_flags INTERFACE
  -g                                # symbols are kept beside the image
  -fno-omit-frame-pointer           # backtraces walk frame records
  -fno-strict-aliasing              # tables and frames are seen through several types
  -fno-common                       # one definition per object
  -fwrapv                           # clock and key arithmetic wraps by design
  -ffile-prefix-map=${CMAKE_SOURCE_DIR}/= # no build paths in the image
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Werror -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes>
  $<$<COMPILE_LANGUAGE:C>:-Wimplicit-fallthrough -Wconversion -Wno-sign-conversion -Wno-gnu-statement-expression>
  $<$<COMPILE_LANGUAGE:C>:-Wthread-safety> # lock annotations in the headers
  -Wundef)                          # a misspelt constant is an error, not 0

if(NOT VERDANT_ARCH STREQUAL "host")
  target_compile_options(k_flags INTERFACE
    -ffreestanding                  # no hosted library behind us
    -fno-builtin-printf             # do not turn our formatters into libc calls
    -fno-pic                        # linked at a fixed high address
    -fno-stack-protector            # guard pages under every stack instead
    -fno-asynchronous-unwind-tables # nothing here unwinds by tables
    -ffunction-sections -fdata-sections # the linker drops what nobody calls
    -momit-leaf-frame-pointer       # a leaf calls nobody: its caller's record is enough for a backtrace
    $<$<CONFIG:Debug>:-O1>
    $<$<CONFIG:Release>:-O2>
    $<$<AND:$<COMPILE_LANGUAGE:C>,$<CONFIG:Release>>:-flto>) # hot paths cross rooms: inline them at link time
endif()

if(VERDANT_ARCH STREQUAL "x86_64")
  target_compile_options(k_flags INTERFACE
    -mcmodel=kernel                 # linked in the top 2 GiB
    -mno-red-zone                   # interrupts run on the interrupted stack
    $<$<COMPILE_LANGUAGE:C>:-mgeneral-regs-only>) # vector state belongs to tasks
elseif(VERDANT_ARCH STREQUAL "aarch64")
  target_compile_options(k_flags INTERFACE
    -march=armv8-a                  # every 64-bit Arm CPU; no LSE, no PAN assumed
    -mno-outline-atomics            # no run-time library behind us
    -mstrict-align                  # boot code runs with the MMU off, where unaligned accesses fault
    $<$<COMPILE_LANGUAGE:C>:-mgeneral-regs-only>)
elseif(VERDANT_ARCH STREQUAL "riscv64")
  target_compile_options(k_flags INTERFACE
    -march=rv64imac_zicsr_zifencei  # the S-mode minimum; no F, so vector state belongs to tasks
    -mabi=lp64
    -mcmodel=medany)                # position independent within 2 GiB
elseif(VERDANT_ARCH STREQUAL "host")
  target_compile_options(k_flags INTERFACE $<$<CONFIG:Debug>:-O1> $<$<CONFIG:Release>:-O2>)
endif()

# Sanitizers of the host machine: "", "address,undefined" or "thread".
set(VERDANT_SANITIZE "" CACHE STRING "sanitizers for the host machine")
if(VERDANT_SANITIZE)
  target_compile_options(k_flags INTERFACE -fsanitize=${VERDANT_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(k_flags INTERFACE -fsanitize=${VERDANT_SANITIZE})
endif()
