# SPDX-License-Identifier: MIT
# The kernel image: linked twice, the second time with the symbol table that panics print names from. Code addresses are
# the same in both links, because the table stands behind everything that holds code (checked by gen_ksyms.py --verify).
function(k_image)
  set(elf ${CMAKE_BINARY_DIR}/verdant-${VERDANT_ARCH}.elf)
  set(script ${CMAKE_SOURCE_DIR}/arch/${VERDANT_ARCH}/kernel.ld)
  get_property(rooms GLOBAL PROPERTY VERDANT_ROOM_TARGETS)
  set(objects)
  foreach(room ${rooms} machine kernel_tests)
    list(APPEND objects $<TARGET_OBJECTS:${room}>)
  endforeach()

  add_library(k_link INTERFACE)
  target_compile_options(k_link INTERFACE $<TARGET_PROPERTY:k_flags,INTERFACE_COMPILE_OPTIONS>)
  target_link_options(k_link INTERFACE
    --static "SHELL:-T ${script}"
    --orphan-handling=error         # a section that the script does not name is a mistake
    --build-id=none                 # the same source gives the same bytes
    --gc-sections "SHELL:-z noexecstack" --fatal-warnings
    "SHELL:-z max-page-size=4096")

  add_executable(stage1 ${objects} ${CMAKE_SOURCE_DIR}/cmake/ksyms_empty.S)
  add_executable(kernel ${objects} ${CMAKE_BINARY_DIR}/ksyms.S)
  foreach(target stage1 kernel)
    target_link_libraries(${target} PRIVATE k_link)
    set_target_properties(${target} PROPERTIES LINK_DEPENDS ${script})
  endforeach()
  set_target_properties(stage1 PROPERTIES OUTPUT_NAME stage1.elf)
  set_target_properties(kernel PROPERTIES OUTPUT_NAME verdant-${VERDANT_ARCH}.elf)

  add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/ksyms.S
    COMMAND python3 ${CMAKE_SOURCE_DIR}/tools/gen_ksyms.py --nm ${CMAKE_NM} $<TARGET_FILE:stage1>
            -o ${CMAKE_BINARY_DIR}/ksyms.S
    DEPENDS stage1 ${CMAKE_SOURCE_DIR}/tools/gen_ksyms.py VERBATIM)

  # x86_64 boots the ELF itself (PVH); the others a flat Image with Linux's header at its start.
  set(image ${CMAKE_BINARY_DIR}/verdant-${VERDANT_ARCH}.img)
  if(VERDANT_ARCH STREQUAL "x86_64")
    set(convert ${CMAKE_OBJCOPY} --strip-all ${elf} ${image})
  else()
    set(convert ${CMAKE_OBJCOPY} -O binary ${elf} ${image})
  endif()
  add_custom_command(OUTPUT ${image}
    COMMAND python3 ${CMAKE_SOURCE_DIR}/tools/gen_ksyms.py --nm ${CMAKE_NM}
            --verify $<TARGET_FILE:stage1> $<TARGET_FILE:kernel>
    COMMAND ${convert}
    DEPENDS kernel VERBATIM)
  add_custom_target(image ALL DEPENDS ${image})

  # `cmake --build --preset P --target run` boots it here.
  add_custom_target(run COMMAND python3 ${CMAKE_SOURCE_DIR}/tools/qemu.py run --arch ${VERDANT_ARCH} --image ${image}
    DEPENDS image USES_TERMINAL VERBATIM)
endfunction()
