/* SPDX-License-Identifier: MIT */
/*
 * Tasks' contexts and the simulated floating-point unit. A context knows which CPU runs it, so that a task resumed
 * while its last CPU still stands on its stack ends the run with a sentence instead of a smashed stack. No lock.
 */
#include "host_priv.h"

#include <string.h>

#pragma weak trap_fault

/* The start of a stack: entry and argument are kept in the words above its first frame. */
struct first_frame {
    void (*entry)(void *);
    void *arg;
};

static void context_begin(void *first)
{
    struct first_frame frame = *(struct first_frame *)first;

    host_fiber_arrive();
    frame.entry(frame.arg);
    host_fail("a task's entry function returned");
}

void hal_context_init(struct hal_context *context, vaddr_t stack_top, size_t stack_bytes, void (*entry)(void *),
                      void *arg)
{
    HOST_REQUIRE(stack_top % HAL_STACK_ALIGN == 0, "hal_context_init(): the stack is not aligned");
    HOST_REQUIRE(entry != NULL, "hal_context_init() without an entry");
    struct host_stack stack = { .base = stack_top - stack_bytes, .bytes = stack_bytes };
    struct first_frame *frame = (struct first_frame *)(stack_top - ROUND_UP(sizeof *frame, HAL_STACK_ALIGN));

    host_fiber_bind(&stack);
    *frame = (struct first_frame){ .entry = entry, .arg = arg };
    *context = (struct hal_context){
        .sp = host_swap_prepare((uintptr_t)frame, context_begin, frame),
        .stack_base = stack.base,
        .stack_bytes = stack.bytes,
        .fiber = stack.fiber,
    };
}

void host_context_switch(struct task *prev, struct task *next)
{
    struct hal_context *from = (struct hal_context *)prev;
    struct hal_context *to = (struct hal_context *)next;

    host_step(HOST_POINT_SWITCH);
    struct host_cpu *self = host_self();

    HOST_REQUIRE(!self->regs.irq_enabled, "hal_context_switch() on CPU %u with interrupts enabled", self->id);
    HOST_REQUIRE(self->regs.current == prev, "hal_context_switch(): prev does not run on CPU %u", self->id);
    HOST_REQUIRE(from->running_on == self->id + 1, "CPU %u leaves a task that CPU %u runs", self->id,
                 from->running_on - 1);
    HOST_REQUIRE(to->running_on == 0, "CPU %u resumes a task that CPU %u still runs", self->id, to->running_on - 1);
    host_cpu_check_area(self);
    from->stack_base = self->stack.base;
    from->stack_bytes = self->stack.bytes;
    from->fiber = self->stack.fiber;
    from->running_on = 0;
    to->running_on = self->id + 1;
    self->stack = (struct host_stack){ .base = to->stack_base, .bytes = to->stack_bytes, .fiber = to->fiber };
    self->regs.current = next;
    host_tlb_switched(self);
    /* A signal for each stack that is not mapped would cost more than all the rest of a switch. */
    if (host_is_kmap(to->sp) && !host_kmap_has(to->sp))
        (void)host_memory_refill(self->root, to->sp, true);
    host_fiber_leave(&self->stack, true);
    host_swap(&from->sp, to->sp);
    host_fiber_arrive();
}

/*
 * Floating point. The unit is eight words per CPU; an area is a mark and the eight words. The mark catches a load of
 * something that was never initialised or saved, and one area loaded for another task's.
 */
#define FPU_MARK UINT64_C(0x656d617266757066) /* "fpuframe" */
#define FPU_OFF_VALUE UINT64_C(0xdeadf00ddeadf00d)

void hal_fpu_init(void *area)
{
    struct host_fpu_area *fpu = area;

    HOST_REQUIRE(IS_ALIGNED((uintptr_t)area, HAL_FPU_ALIGN), "hal_fpu_init(): the area is not aligned");
    *fpu = (struct host_fpu_area){ .mark = FPU_MARK };
}

void hal_fpu_switch(void *save, void *load)
{
    struct host_cpu *self = host_self();
    struct host_fpu_area *to = save;
    const struct host_fpu_area *from = load;

    HOST_REQUIRE(!self->regs.irq_enabled, "hal_fpu_switch() on CPU %u with interrupts enabled", self->id);
    if (to != NULL) {
        HOST_REQUIRE(self->is_fpu_on, "hal_fpu_switch() saves a unit that is off on CPU %u", self->id);
        to->mark = FPU_MARK;
        memcpy(to->word, self->fpu, sizeof to->word);
        HOST_REQUIRE(self->is_vector_on == (to->vector != NULL), "a vector area came or went, unsaved, on CPU %u",
                     self->id);
        if (to->vector != NULL)
            memcpy(to->vector, self->vector, sizeof self->vector);
    }
    self->is_fpu_on = from != NULL;
    self->is_vector_on = from != NULL && from->vector != NULL;
    for (unsigned i = 0; i < HOST_VECTOR_WORDS; i++)
        self->vector[i] = FPU_OFF_VALUE;
    if (self->is_vector_on)
        memcpy(self->vector, from->vector, sizeof self->vector);
    for (unsigned i = 0; i < HOST_FPU_WORDS; i++)
        self->fpu[i] = FPU_OFF_VALUE;
    if (from != NULL) {
        HOST_REQUIRE(from->mark == FPU_MARK, "hal_fpu_switch() loads an area that was never initialised");
        memcpy(self->fpu, from->word, sizeof from->word);
    }
}

static void fpu_require_on(void)
{
    struct hal_trap trap = { .pc = (uintptr_t)__builtin_return_address(0),
                             .frame_pointer = (uintptr_t)__builtin_frame_address(0) };
    struct fault_info fault = { .kind = FAULT_FPU_OFF, .name = "floating point off" };

    if (host_self()->is_fpu_on)
        return;
    if (trap_fault != NULL)
        (void)trap_fault(&trap, &fault);
    HOST_REQUIRE(host_self()->is_fpu_on, "floating point used while it is off on CPU %u", host_self()->id);
}

void host_fpu_use(unsigned word, uint64_t value)
{
    fpu_require_on();
    host_self()->fpu[word % HOST_FPU_WORDS] = value;
}

uint64_t host_fpu_peek(unsigned word)
{
    fpu_require_on();
    return host_self()->fpu[word % HOST_FPU_WORDS];
}

static void vector_require_on(void)
{
    const struct fault_info fault = { .kind = FAULT_VECTOR_OFF, .name = "vector unit off" };

    if (!host_self()->is_vector_on)
        host_user_fault(&fault);
    HOST_REQUIRE(host_self()->is_vector_on, "vector registers used while they are off on CPU %u", host_self()->id);
}

void host_vector_use(unsigned word, uint64_t value)
{
    vector_require_on();
    host_self()->vector[word % HOST_VECTOR_WORDS] = value;
}

uint64_t host_vector_peek(unsigned word)
{
    vector_require_on();
    return host_self()->vector[word % HOST_VECTOR_WORDS];
}

bool host_vector_is_on(void)
{
    return host_self()->is_vector_on;
}
