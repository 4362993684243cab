/* SPDX-License-Identifier: MIT */
/*
 * Access to user memory. These two functions are the only code of the kernel that may touch it: where the CPU can, the
 * machine forbids every other access (see docs/PORTING.md). User memory is what the root given to hal_mmu_activate()
 * maps below HAL_USER_END; its leaves all have PROT_USER, because not every CPU could tell one that has not.
 *
 *   HAL_USER_END   the first address that is not the user's: an expression of type vaddr_t, page aligned, constant
 *                  after the machine's boot code
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <k/types.h>

enum user_copy { USER_COPY_IN, USER_COPY_OUT };

/*
 * Copy between kernel and user memory, any alignment and length. A user page that is not mapped, or read-only and
 * written to, is a fault: trap_fault() is told with is_user_access, and if it returns true the access is done again, if
 * false the copy ends. Returns the number of bytes NOT copied: exactly the first bytes - result were. A part may be
 * copied more than once on the way, and one faulting page may be reported more than once, but nothing behind the
 * result's place is touched. 8 bytes at addresses that are multiples of 8 are one access each, and so are 4, 2 or 1 if
 * that is all there is to copy. The caller has checked that the user range ends at or below HAL_USER_END.
 * Context: task; trap_fault() decides what may be done about a fault. Order: none.
 */
size_t hal_user_copy(void *kernel, vaddr_t user, size_t bytes, enum user_copy direction);

/*
 * Compare and exchange an aligned word below HAL_USER_END: 0, and *expected is what was there, equal: exchanged. The
 * page must be writable in both cases. -EFAULT: trap_fault() returned false; *expected is untouched. Context: task.
 * Order: seq_cst, equal or not.
 */
int hal_user_cas(vaddr_t user, uint32_t *expected, uint32_t desired);

#include <hal_machine.h>
