/* SPDX-License-Identifier: MIT */
/*
 * The console's task: prompt, keys, command. Keys are looked for now and then, because nothing interrupts for them;
 * more often while somebody types, so that a line that comes in at 115,200 bits a second does not overrun a FIFO of 16
 * bytes.
 */
#include <hal/cpu.h>
#include <hal/debug.h>
#include <k/log.h>
#include <proc/task.h>
#include <sched/sched.h>
#include <time/clock.h>

#include "console_priv.h"

#define LOOK_TYPING_NS NS_PER_MS        /* 12 bytes at 115,200 bits a second */
#define LOOK_NS (20 * NS_PER_MS)        /* nobody notices */
#define TYPING_NS (500 * NS_PER_MS)     /* so long after a key another one is expected */

static uint64_t last_key_ns;

int console_wait_key(uint64_t timeout_ns)
{
    uint64_t start = clock_ns();

    for (;;) {
        int key = hal_console_get();
        uint64_t now = clock_ns();

        if (key >= 0) {
            last_key_ns = now;
            return key;
        }
        if (now - start >= timeout_ns)
            return -1;
        uint64_t pause = last_key_ns != 0 && now - last_key_ns < TYPING_NS ? LOOK_TYPING_NS : LOOK_NS;

        if (task_sleep_for(MIN(pause, timeout_ns - (now - start))) != 0)
            return -1;
    }
}

/* Read and answer one line. */
static int one_line(struct console_line *line)
{
    enum console_line_event event = LINE_MORE;

    line_begin(line);
    console_print("verdant> ");
    while (event == LINE_MORE) {
        int key = console_wait_key(TIME_NEVER);

        if (key < 0)
            return CONSOLE_EXIT; /* killed */
        event = line_key(line, (char)key);
    }
    if (event == LINE_CANCELLED)
        return 0;
    if (line->is_overlong) {
        console_print("the line is longer than %u characters; nothing is done\n", CONSOLE_LINE_BYTES - 1);
        return 0;
    }
    return console_do(line->text);
}

int console_main(const char *argument)
{
    struct console_line line = { 0 };

    if (argument[0] != '\0')
        log_warn("console: takes no argument, '%s' is ignored", argument);
    console_exit_code = 0;
    if (task_set_priority(current_task(), CONSOLE_PRIORITY) != 0)
        log_warn("console: cannot have its priority");
    console_print("Verdant's debug console; help lists the commands\n");
    while (one_line(&line) != CONSOLE_EXIT)
        continue;
    return console_exit_code;
}

static int console_task(void *arg)
{
    int code = console_main(arg);

    if (task_is_killed())
        return 0;
    log_info("console: exit with code %d", code);
    hal_machine_exit(code);
}

int console_start(void)
{
    static char none[1];
    const struct task_spec spec = {
        .name = "console",
        .entry = console_task,
        .arg = none,
        .stack_bytes = STACK_BYTES_DEFAULT,
        .priority = CONSOLE_PRIORITY,
    };
    tid_t tid = task_try_create(&spec, NULL);

    return tid < 0 ? tid : 0;
}
