/* SPDX-License-Identifier: MIT */
/*
 * Faults on purpose. What is meant to fault runs as a task of its own, the CPU's probe, so that trap_fault(), which
 * must not return, can leave by a context switch. The probe's stack is mapped with an unmapped page below it.
 */
#include "kit.h"

/* Compiled code of one small function, with whatever a sanitizer adds to it. */
#define PROBE_CODE_BYTES 512u

/* Only the access itself may fault: a sanitizer would look at its shadow, or in front of a function, before. */
#define PROBE NOINLINE __attribute__((no_sanitize("address", "thread", "undefined")))

struct probe_call {
    void (*fn)(void *);
    void *arg;
};

static void probe_main(void *arg)
{
    struct kit_cpu *self = kit_self();
    struct probe_call call = *(const struct probe_call *)arg;

    call.fn(call.arg);
    hal_context_switch(&self->probe, self->catcher);
    CHECK(false, "a task that nobody switched to runs");
}

void kit_catch_arrived(struct hal_trap *trap, const struct fault_info *fault)
{
    struct kit_cpu *self = kit_self();
    struct kit_fault *out = self->caught;
    const struct task *probe = &self->probe;

    out->info = *fault;
    out->pc = HAL_TRAP_PC(trap);
    out->was_irq_enabled = hal_irq_is_enabled();
    out->records = kit_records_count(HAL_TRAP_FRAME_POINTER(trap), probe->stack_base,
                                     probe->stack_base + probe->stack_bytes, &out->has_end);
    self->caught = NULL;
    self->has_caught = true;
    hal_context_switch(&self->probe, self->catcher);
}

bool kit_catch(void (*fn)(void *), void *arg, struct kit_fault *out)
{
    uintptr_t state = hal_irq_save();
    struct kit_cpu *self = kit_self();
    struct task *probe = &self->probe;
    struct probe_call call = { fn, arg };

    *out = (struct kit_fault){ .records = 0 };
    probe->cpu = self;
    self->catcher = hal_current();
    self->caught = out;
    self->has_caught = false;
    hal_context_init(&probe->context, probe->stack_base + probe->stack_bytes, probe->stack_bytes, probe_main, &call);
    hal_context_switch(self->catcher, probe);
    self->caught = NULL;
    CHECK(hal_current() == self->catcher, "hal_current() is wrong after the way back from a fault");
    CHECK(!hal_irq_is_enabled(), "interrupts are enabled after the way back from a fault");
    hal_irq_restore(state);
    return self->has_caught;
}

PROBE void kit_probe_load(void *address)
{
    (void)*(const volatile uint64_t *)address;
}

PROBE void kit_probe_store(void *address)
{
    *(volatile uint64_t *)address = 1;
}

PROBE void kit_probe_call(void *address)
{
    ((void (*volatile)(void))(uintptr_t)address)();
    compiler_barrier(); /* not a tail call: this function's record stays */
}

void kit_probe_fpu(void *unused)
{
    (void)unused;
    crash_use_fpu();
}

void kit_check_page_fault(const struct kit_fault *fault, bool has_faulted, uintptr_t address, const char *what)
{
    CHECK(has_faulted, "%s did not fault", what);
    CHECK(fault->info.kind == FAULT_PAGE, "%s is a fault of kind %d (%s)", what, (int)fault->info.kind,
          fault->info.name);
    CHECK(fault->info.address == address, "%s at %#lx is reported at %#lx", what, (unsigned long)address,
          (unsigned long)fault->info.address);
    CHECK(fault->info.name != NULL && fault->info.name[0] != '\0', "%s has no name", what);
    CHECK(!fault->was_irq_enabled, "trap_fault() is called with interrupts enabled");
}

/* Each frame is larger than a few words and smaller than a page. */
static NOINLINE unsigned overflow(unsigned depth)
{
    volatile uint8_t room[256];

    room[depth % sizeof room] = 1;
    return depth == UINT32_MAX ? 0 : overflow(depth + 1) + room[0];
}

static void run_overflow(void *arg)
{
    *(volatile unsigned *)arg = overflow(0);
}

void kit_check_cpu_faults(struct kit_cpu *self)
{
    vaddr_t base = self->probe.stack_base;
    uintptr_t hole = base - KIT_HOLE_PAGES * PAGE_BYTES + 0x128;
    struct kit_fault fault;
    unsigned unused;
    bool has_faulted = kit_catch(kit_probe_load, (void *)hole, &fault);

    kit_check_page_fault(&fault, has_faulted, hole, "a load from an unmapped page");
    CHECK(!fault.info.is_write && !fault.info.is_exec, "a load is reported as a write or an execution");
    CHECK(fault.pc - (uintptr_t)kit_probe_load < PROBE_CODE_BYTES, "the pc of the fault is %#lx, the code is at %#lx",
          (unsigned long)fault.pc, (unsigned long)(uintptr_t)kit_probe_load);
    has_faulted = kit_catch(run_overflow, &unused, &fault);
    CHECK(has_faulted, "endless recursion did not fault");
    CHECK(fault.info.kind == FAULT_STACK_OVERFLOW, "a stack overflow is a fault of kind %d (%s)",
          (int)fault.info.kind, fault.info.name);
    CHECK(fault.info.address - (base - PAGE_BYTES) < PAGE_BYTES,
          "a stack overflow at %#lx is reported for a stack that begins at %#lx", (unsigned long)fault.info.address,
          (unsigned long)base);
    CHECK(fault.handler_frame - base >= self->probe.stack_bytes,
          "a stack overflow is handled on the stack that is full");
    if (self->emergency_frame == 0)
        self->emergency_frame = fault.handler_frame;
    CHECK(fault.handler_frame + PAGE_BYTES > self->emergency_frame &&
              fault.handler_frame < self->emergency_frame + PAGE_BYTES,
          "CPU %u handles a stack overflow at %#lx, and did so at %#lx: on another CPU's emergency stack?", self->id,
          (unsigned long)fault.handler_frame, (unsigned long)self->emergency_frame);
}
