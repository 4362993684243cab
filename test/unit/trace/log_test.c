/* SPDX-License-Identifier: MIT */
/* core/trace/log.c: one call is one whole line, marked by its level, also from many CPUs, interrupts and long texts. */
#include "smp/smp_test.h"

#include <trace/log.h>

#define LINE_BYTES 256 /* a line with its newline and terminator: log.c */
#define RING_BYTES (16 << 10)

static const char *printed(void (*fn)(void *), void *arg)
{
    assert_true(host_unit_returns(fn, arg, &smp_test_result));
    return smp_test_result.console;
}

static void print_each_level(void *arg)
{
    (void)arg;
    log_error("number %d", -7);
    log_warn("text '%s'", "abc");
    log_info("%#lx and %5u|", 0xbeeful, 42u);
    log_debug("%c%%", 'x');
}

static void levels_are_marked_and_lines_end_with_carriage_return(void **state)
{
    (void)state;
    log_set_console_level(LOG_DEBUG);
    assert_string_equal(printed(print_each_level, NULL),
                        "error: number -7\r\nwarning: text 'abc'\r\n0xbeef and    42|\r\nx%\r\n");
}

static void lines_above_the_console_level_are_not_printed(void **state)
{
    static const char *const wanted[] = {
        "error: number -7\r\n",
        "error: number -7\r\nwarning: text 'abc'\r\n",
        "error: number -7\r\nwarning: text 'abc'\r\n0xbeef and    42|\r\n",
    };

    (void)state;
    for (unsigned level = LOG_ERROR; level <= LOG_INFO; level++) {
        log_set_console_level((enum log_level)level);
        assert_string_equal(printed(print_each_level, NULL), wanted[level]);
    }
}

static void print_long(void *arg)
{
    char text[600];
    size_t bytes = *(size_t *)arg;

    memset(text, 'y', bytes);
    text[bytes] = '\0';
    log_info("%s", text);
    log_error("%s", text);
    log_info("%s", "");
}

static void long_lines_are_cut_and_still_lines(void **state)
{
    (void)state;
    log_set_console_level(LOG_INFO);
    for (size_t bytes = 0; bytes < 600; bytes += bytes > 230 && bytes < 270 ? 1 : 13) {
        size_t plain = MIN(bytes, (size_t)LINE_BYTES - 2);
        size_t marked = MIN(bytes, LINE_BYTES - 2 - strlen("error: "));
        const char *at = printed(print_long, &bytes);

        assert_int_equal(strspn(at, "y"), plain);
        at += plain;
        assert_int_equal(strncmp(at, "\r\nerror: ", 9), 0);
        at += 9;
        assert_int_equal(strspn(at, "y"), marked);
        assert_string_equal(at + marked, "\r\n\r\n");
    }
}

/* Many times what the ring holds: nothing but the lines comes out, and nothing is written beyond it
 * (sanitizers look). */
static void print_much(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 3 * RING_BYTES / 20; i++)
        log_debug("line %06u, 20 bytes", i); /* kept, not printed */
}

static void the_ring_wraps_around(void **state)
{
    (void)state;
    log_set_console_level(LOG_INFO);
    assert_string_equal(printed(print_much, NULL), "");
}

static void print_beside_text(void *arg)
{
    (void)arg;
    log_write("prompt> ", 8);
    log_debug("kept, not printed");
    log_write_raw("typed", 5);
    log_info("a message");
    log_write("ended\n", 6);
    log_info("another");
    log_write_raw("raw\n", 4);
    log_info("third");
}

static void a_line_of_the_log_begins_on_a_line_of_its_own(void **state)
{
    (void)state;
    log_set_console_level(LOG_INFO);
    assert_string_equal(printed(print_beside_text, NULL),
                        "prompt> typed\r\na message\r\nended\r\nanother\r\nraw\nthird\r\n");
}

static void print_with_state(void *arg)
{
    bool enabled = *(bool *)arg;

    if (enabled)
        hal_irq_enable();
    log_info("x");
    ASSERT(hal_irq_is_enabled() == enabled && current_base()->lock_depth == 0);
    hal_irq_disable();
}

static void the_interrupt_state_is_left_alone(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        bool enabled = i != 0;

        assert_string_equal(printed(print_with_state, &enabled), "x\r\n");
    }
}

static void print_under_every_lock(void *arg)
{
    (void)arg;
    for (uint32_t rank = LOCK_NONE + 1; rank < LOCK_LOG; rank++) {
        struct spinlock lock;

        spin_init(&lock, (enum lock_rank)rank);
        spin_lock_irqoff(&lock);
        log_error("%u", rank);
        spin_unlock_irqoff(&lock);
    }
}

static void every_lock_may_be_held(void **state)
{
    (void)state;
    (void)printed(print_under_every_lock, NULL);
}

/* Several CPUs at once: whole lines, each once. */

#define LINES 20

static void print_lines(cpu_id_t cpu, void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < LINES; i++)
        log_info("cpu %u line %02u of many", cpu, i);
}

static void lines_of_several_cpus_do_not_mix(void **state)
{
    (void)state;
    log_set_console_level(LOG_INFO);
    for (uint64_t seed = 0; seed < 100; seed++) {
        unsigned cpus = 2 + (unsigned)(seed % 4);
        unsigned next[SMP_TEST_CPUS] = { 0 };
        unsigned lines = 0;

        smp_test_team(cpus, seed, print_lines, NULL);
        for (const char *at = smp_test_result.console; *at != '\0'; lines++) {
            unsigned cpu = (unsigned)(at[4] - '0');
            char wanted[64];

            assert_true(cpu < cpus);
            int bytes = snprintf(wanted, sizeof wanted, "cpu %u line %02u of many\r\n", cpu, next[cpu]++);

            assert_int_equal(strncmp(at, wanted, (size_t)bytes), 0);
            at += bytes;
        }
        assert_int_equal(lines, cpus * LINES);
    }
}

/* In a panic nobody waits for the lock, whoever holds it. */
static void print_while_locked(void *arg)
{
    (void)arg;
    log_enter_panic();
    log_error("still here");
}

static void a_panic_prints_without_the_lock(void **state)
{
    (void)state;
    assert_true(host_unit_returns_forked(print_while_locked, NULL, &smp_test_result));
    assert_string_equal(smp_test_result.console, "error: still here\r\n");
    assert_true(smp_test_result.steps < 100000);
}

/* A panic begins while others print, some of them in the middle of a line. What they go on to print does not mix with
 * it. That nothing in the log races is for ThreadSanitizer to say. */
#define PANIC_LINES 300 /* more than the ring holds */

static void print_into_a_panic(cpu_id_t cpu, void *arg)
{
    (void)arg;
    if (cpu == 0) {
        log_info("quiet");
        log_enter_panic();
        for (unsigned i = 0; i < PANIC_LINES; i++)
            log_error("line %03u of a report, long enough that the ring wraps around", i);
        return;
    }
    for (unsigned i = 0; i < LINES; i++)
        log_info("cpu %u goes on", cpu);
}

static void a_panic_does_not_mix_with_the_lines_of_others(void **state)
{
    (void)state;
    log_set_console_level(LOG_INFO);
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct task *tasks[SMP_TEST_CPUS];
        const struct host_team team = { .tasks = tasks, .body = print_into_a_panic };
        const unsigned cpus = 2 + (unsigned)(seed % 3);
        struct host_config config = { .cpus = cpus, .seed = seed, .max_steps = 3000000, .memory_bytes = 4 << 20 };
        unsigned next = 0, others = 0;

        smp_test_cpus(cpus);
        for (unsigned i = 0; i < cpus; i++)
            tasks[i] = (struct task *)&smp_test.self[i];
        if (host_team_run_forked(&config, &team, &smp_test_result) != 0) {
            host_result_print(&config, &smp_test_result);
            fail_msg("%u CPUs, seed %llu", cpus, (unsigned long long)seed);
        }
        for (const char *at = smp_test_result.console; *at != '\0'; at = strchr(at, '\n') + 1) {
            char wanted[96];
            int bytes = snprintf(wanted, sizeof wanted,
                                 "error: line %03u of a report, long enough that the ring wraps around\r\n", next);

            if (strncmp(at, wanted, (size_t)bytes) == 0)
                next++;
            else if (strncmp(at, "cpu ", 4) == 0 && strncmp(at + 5, " goes on\r\n", 10) == 0)
                others++;
            else
                assert_int_equal(strncmp(at, "quiet\r\n", 7), 0);
        }
        assert_int_equal(next, PANIC_LINES);
        assert_int_equal(others, (cpus - 1) * LINES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: ThreadSanitizer is blind in a child of a process that has had more than one stack. */
        cmocka_unit_test(a_panic_does_not_mix_with_the_lines_of_others),
        smp_unit_test(levels_are_marked_and_lines_end_with_carriage_return),
        smp_unit_test(lines_above_the_console_level_are_not_printed),
        smp_unit_test(long_lines_are_cut_and_still_lines),
        smp_unit_test(a_line_of_the_log_begins_on_a_line_of_its_own),
        smp_unit_test(the_ring_wraps_around),
        smp_unit_test(the_interrupt_state_is_left_alone),
        smp_unit_test(every_lock_may_be_held),
        cmocka_unit_test(lines_of_several_cpus_do_not_mix),
        smp_unit_test(a_panic_prints_without_the_lock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
