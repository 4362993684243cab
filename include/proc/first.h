/* SPDX-License-Identifier: MIT */
/* The first process: pid 1, whose end is the machine's. */
#pragma once

#include <k/compiler.h>

/* Paths that are tried if none is named. */
#define FIRST_PROGRAMS "/init", "/sbin/init", "/etc/init", "/bin/init", "/bin/sh"

#define FIRST_ARGUMENTS_MAX 62

struct first_spec {
    const char *path;           /* NULL: FIRST_PROGRAMS, one after the other */
    /* What its argv has behind the path: up to FIRST_ARGUMENTS_MAX, and NULL. */
    const char *const *arguments;
    /* It has ended, with that status as wait4(2) has it; or no program could be started: -1. Does not return. */
    void (*ended)(int wait_status);
};

/* Make it and let it run; what `spec` points to lives for ever. 0, -EAGAIN: there is one; -ENOMEM. Context: task, or
 * boot's idle task. */
int first_start(const struct first_spec *spec) MUST_USE;
