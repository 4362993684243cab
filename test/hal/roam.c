/* SPDX-License-Identifier: MIT */
/*
 * The roamer: fills its general and floating-point registers, holds them with interrupts enabled, and looks whether
 * each is what it was. trap_exit() leaves it by a context switch, and it goes on on the CPU that next calls roam_on().
 * One CPU at a time; the caller orders them.
 */
#include "roam.h"

#include "torture.h"

#define SLICE_NS_MIN (20 * NS_PER_US)
#define SLICE_NS_SPREAD (200 * NS_PER_US)

static struct {
    struct task task;
    void *fpu; /* NULL: no such state */
    unsigned rounds;
    uint64_t random;
} roam;

static void fill(uint64_t *want, uint64_t words, const struct torture_control *controls, unsigned count)
{
    for (uint64_t i = 0; i < words; i++)
        want[i] = kit_random_next(&roam.random);
    for (unsigned i = 0; i < count; i++)
        want[i] = (want[i] & controls[i].mask) | controls[i].base;
}

static void compare(const uint64_t *want, const uint64_t *got, uint64_t words, const char *names)
{
    for (uint64_t i = 0; i < words; i++)
        CHECK(want[i] == got[i], "an interrupted task lost register %u of: %s (%#llx, not %#llx)", (unsigned)i, names,
              (unsigned long long)got[i], (unsigned long long)want[i]);
}

[[noreturn]] static void roam_main(void *arg)
{
    uint64_t want[TORTURE_WORDS_MAX], got[TORTURE_WORDS_MAX];
    uint64_t fpu_want[TORTURE_WORDS_MAX], fpu_got[TORTURE_WORDS_MAX];
    uint64_t words = roam.fpu != NULL ? torture_fpu_words() : 0;

    (void)arg;
    for (;;) {
        fill(want, torture_isa.general_words, &torture_isa.flags, 1);
        fill(fpu_want, words, torture_isa.fpu_control, words != 0 ? 2 : 0);
        if (words != 0)
            torture_fpu_load(fpu_want, words);
        hal_irq_enable();
        torture_general_hold(want, got);
        CHECK(hal_irq_is_enabled(), "an interrupted task goes on with interrupts disabled");
        hal_irq_disable();
        CHECK(hal_current() == &roam.task, "hal_current() is wrong in an interrupted task");
        if (words != 0)
            torture_fpu_dump(fpu_got, words);
        compare(want, got, torture_isa.general_words, torture_general_names);
        compare(fpu_want, fpu_got, words, torture_fpu_names);
        roam.rounds++;
    }
}

void roam_init(void)
{
    size_t bytes = HAL_FPU_BYTES;

    roam.random = UINT64_C(0x2545f4914f6cdd1d);
    roam.task.stack_base = kit_stack_alloc();
    roam.task.stack_bytes = KIT_STACK_BYTES;
    if (bytes != 0) {
        roam.fpu = kit_pages_alloc(bytes);
        hal_fpu_init(roam.fpu);
    }
    hal_context_init(&roam.task.context, roam.task.stack_base + roam.task.stack_bytes, roam.task.stack_bytes, roam_main,
                     NULL);
}

unsigned roam_rounds(void)
{
    return roam.rounds;
}

/* Other values in all registers of this CPU, so that one that a trap forgets to restore is seen. */
static void trample(void)
{
    uint64_t want[TORTURE_WORDS_MAX], got[TORTURE_WORDS_MAX];

    fill(want, torture_isa.general_words, &torture_isa.flags, 1);
    hal_irq_enable(); /* the flags may say so */
    torture_general_hold(want, got);
    hal_irq_disable();
}

void roam_on(struct kit_cpu *self, void *unused)
{
    struct task *here = hal_current();
    unsigned timers;

    (void)unused;
    hal_timer_arm(TIME_NEVER);
    trample();
    timers = self->timers;
    roam.task.cpu = self;
    self->leave_for = here;
    hal_timer_arm(hal_clock_ticks() + kit_ticks_of_ns(SLICE_NS_MIN + kit_random_next(&roam.random) % SLICE_NS_SPREAD));
    if (roam.fpu != NULL)
        hal_fpu_switch(NULL, roam.fpu);
    hal_context_switch(here, &roam.task);
    if (roam.fpu != NULL)
        hal_fpu_switch(roam.fpu, NULL);
    CHECK(hal_current() == here && kit_self() == self, "hal_current() is wrong after a switch from trap_exit()");
    CHECK(self->timers > timers, "the roamer came back by itself");
    CHECK(!hal_irq_is_enabled(), "interrupts are enabled after a switch from trap_exit()");
}
