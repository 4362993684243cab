/* SPDX-License-Identifier: MIT */
/* The page of code that programs get from the kernel. Owns its object. */
#include <proc/vdso.h>

#include <hal/usermode.h>
#include <k/panic.h>
#include <lib/string.h>
#include <mm/phys.h>
#include <vm/object.h>
#include <vm/space.h>

/* Not at the page's beginning: unwinders look for the caller of what returns there, one instruction before. */
#define RETURN_AT 64

static const uint8_t return_code[] = HAL_SIGNAL_RETURN_CODE;
static struct vm_object *vdso_object; /* one reference, for ever */

void vdso_init(void)
{
    paddr_t pa;

    if (vm_object_create(PAGE_BYTES, &vdso_object) != 0 || vm_object_page(vdso_object, 0, &pa) != 0)
        panic("no memory for the page of code that programs get");
    (void)memcpy((uint8_t *)phys_to_virt(pa) + RETURN_AT, return_code, sizeof return_code);
    phys_put(pa);
}

bool vdso_is(const struct vm_object *object)
{
    return object == vdso_object;
}

int vdso_map(struct space *space, vaddr_t *out_va)
{
    const struct space_request request = {
        .bytes = PAGE_BYTES, .rights = VM_READ | VM_EXEC, .flags = SPACE_PRIVATE, .object = vdso_object,
    };
    int result = space_map(space, &request, out_va);

    if (result == 0)
        *out_va += RETURN_AT;
    return result;
}
