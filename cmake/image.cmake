# SPDX-License-Identifier: MIT
# Images: linked twice, the second time with the symbol table that panics print names from, and room for the table of
# the words that change when the image moves. Code addresses are the same in both links, because the tables stand behind
# everything that holds code (checked by gen_ksyms.py --verify).

# k_image_link(target name objects...): NAME-ARCH.elf, a copy in the form that its loader wants, NAME-ARCH.img, and the
# target TARGET_image that makes both.
function(k_image_link target name)
  set(script ${CMAKE_SOURCE_DIR}/arch/${VERDANT_ARCH}/kernel.ld)
  set(stem ${CMAKE_BINARY_DIR}/${name}-${VERDANT_ARCH})
  add_executable(${target}_stage1 ${ARGN} ${CMAKE_SOURCE_DIR}/cmake/ksyms_empty.S)
  add_executable(${target} ${ARGN} ${stem}-ksyms.S ${stem}-relocs.S)
  foreach(stage ${target}_stage1 ${target})
    target_link_libraries(${stage} PRIVATE k_link)
    set_target_properties(${stage} PROPERTIES LINK_DEPENDS ${script})
  endforeach()
  set_target_properties(${target}_stage1 PROPERTIES OUTPUT_NAME ${name}-${VERDANT_ARCH}-stage1.elf)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}-${VERDANT_ARCH}.elf)

  add_custom_command(OUTPUT ${stem}-ksyms.S
    COMMAND python3 ${CMAKE_SOURCE_DIR}/tools/gen_ksyms.py --nm ${CMAKE_NM} $<TARGET_FILE:${target}_stage1>
            -o ${stem}-ksyms.S
    DEPENDS ${target}_stage1 ${CMAKE_SOURCE_DIR}/tools/gen_ksyms.py VERBATIM)

  # The linker keeps its relocations in both, and labels that they name. They are needed no more once the second file's
  # table is filled in.
  set(gen_relocs ${CMAKE_SOURCE_DIR}/tools/gen_relocs.py)
  add_custom_command(OUTPUT ${stem}-relocs.S
    COMMAND python3 ${gen_relocs} $<TARGET_FILE:${target}_stage1> --reserve ${stem}-relocs.S
    DEPENDS ${target}_stage1 ${gen_relocs} VERBATIM)
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${gen_relocs})
  add_custom_command(TARGET ${target} POST_BUILD
    COMMAND python3 ${gen_relocs} $<TARGET_FILE:${target}>
    COMMAND ${CMAKE_OBJCOPY} --wildcard --remove-section=.rela.* --discard-locals $<TARGET_FILE:${target}> VERBATIM)

  # x86_64 boots the ELF itself (PVH); the others a flat Image with Linux's header at its start.
  if(VERDANT_ARCH STREQUAL "x86_64")
    set(convert ${CMAKE_OBJCOPY} --strip-all ${stem}.elf ${stem}.img)
  else()
    set(convert ${CMAKE_OBJCOPY} -O binary ${stem}.elf ${stem}.img)
  endif()
  add_custom_command(OUTPUT ${stem}.img
    COMMAND python3 ${CMAKE_SOURCE_DIR}/tools/gen_ksyms.py --nm ${CMAKE_NM}
            --verify $<TARGET_FILE:${target}_stage1> $<TARGET_FILE:${target}>
    COMMAND ${convert}
    DEPENDS ${target} VERBATIM)
  add_custom_target(${target}_image ALL DEPENDS ${stem}.img)
endfunction()

# The kernel, verdant-ARCH, and beside it the HAL conformance kit, port-check-ARCH: test/hal/CMakeLists.txt.
function(k_image)
  get_property(rooms GLOBAL PROPERTY VERDANT_ROOM_TARGETS)
  set(objects)
  foreach(room ${rooms} machine kernel_tests)
    list(APPEND objects $<TARGET_OBJECTS:${room}>)
  endforeach()

  add_library(k_link INTERFACE)
  target_compile_options(k_link INTERFACE $<TARGET_PROPERTY:k_flags,INTERFACE_COMPILE_OPTIONS>)
  target_link_options(k_link INTERFACE
    --static "SHELL:-T ${CMAKE_SOURCE_DIR}/arch/${VERDANT_ARCH}/kernel.ld"
    --emit-relocs                   # what names addresses: tools/gen_relocs.py
    --orphan-handling=error         # a section that the script does not name is a mistake
    --build-id=none                 # the same source gives the same bytes
    --gc-sections "SHELL:-z noexecstack" --fatal-warnings
    "SHELL:-z max-page-size=4096")

  k_image_link(kernel verdant ${objects})
  k_image_link(port_check port-check
    $<TARGET_OBJECTS:port_check_kit> $<TARGET_OBJECTS:room_lib> $<TARGET_OBJECTS:room_parse> $<TARGET_OBJECTS:machine>)

  # `cmake --build --preset P --target run` boots it here.
  add_custom_target(run
    COMMAND python3 ${CMAKE_SOURCE_DIR}/tools/qemu.py run --arch ${VERDANT_ARCH}
            --image ${CMAKE_BINARY_DIR}/verdant-${VERDANT_ARCH}.img
    DEPENDS kernel_image USES_TERMINAL VERBATIM)
endfunction()
