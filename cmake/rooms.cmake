# SPDX-License-Identifier: MIT
# The rooms of core/ in their one order: a room may include headers of rooms to its left that it USES, of hal/ and k/,
# and its own. tools/check_layers.py reads this list and the k_room() calls and rejects any other include.
set(VERDANT_ROOMS lib parse smp trace time mm sched vm fs proc syscall entry console boot)

# k_room(NAME SRCS file... USES room...): one object library per room.
function(k_room name)
  cmake_parse_arguments(ROOM "" "" "SRCS;USES" ${ARGN})
  add_library(room_${name} OBJECT ${ROOM_SRCS})
  target_link_libraries(room_${name} PRIVATE k_flags)
  target_include_directories(room_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  set_property(GLOBAL APPEND PROPERTY VERDANT_ROOM_TARGETS room_${name})
endfunction()
