/* SPDX-License-Identifier: MIT */
/* What is typed reaches the terminal, while a program has it open. */
#include <console/console.h>

#include <fs/tty.h>
#include <proc/task.h>
#include <sched/sched.h>

#include "console_priv.h"

#define LOOK_NS NS_PER_SEC /* whether anybody has it open still */

static int keyboard_main(void *arg)
{
    (void)arg;
    for (;;) {
        tty_wait_in_use();
        int key = console_wait_key(LOOK_NS);

        if (key >= 0)
            tty_feed((uint8_t)key);
    }
}

int keyboard_start(void)
{
    const struct task_spec spec = {
        .name = "keyboard",
        .entry = keyboard_main,
        .stack_bytes = STACK_BYTES_DEFAULT,
        .priority = CONSOLE_PRIORITY,
    };
    tid_t tid = task_try_create(&spec, NULL);

    return tid < 0 ? tid : 0;
}
