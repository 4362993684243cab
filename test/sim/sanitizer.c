/* SPDX-License-Identifier: MIT */
/*
 * Sanitizers as checkers: their reports go to a file of this process, and their exit status names the promise. In a
 * plain build there is none, and a crash is a crash. No lock: one run at a time per process.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

#define STATUS_MEMORY 77 /* no signal, and none of our own */
#define STATUS_RACE 78
#define REPORT_BYTES 6000

/* By these each sanitizer asks for its options. The first race ends the run in its step, like every other violation. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "exitcode=77:detect_leaks=0:detect_stack_use_after_return=0:allocator_may_return_null=1";
}

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
    return "print_stacktrace=1";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "exitcode=78:halt_on_error=1:report_signal_unsafe=0:atexit_sleep_ms=0";
}

#if __has_feature(thread_sanitizer)
#define BUILD_OPTION " --sanitizer thread"
#elif __has_feature(address_sanitizer)
#define BUILD_OPTION " --sanitizer address"
#else
#define BUILD_OPTION ""
#endif

const char *sanitizer_option(void)
{
    return BUILD_OPTION;
}

#pragma weak __sanitizer_set_report_fd
void __sanitizer_set_report_fd(void *fd);

static FILE *said;

/* In the child, because a sanitizer forgets what it was given when it finds itself in another process. A run in this
 * process says it on standard error. */
static void redirect(void)
{
    if (said != NULL)
        __sanitizer_set_report_fd((void *)(uintptr_t)fileno(said));
}

void sanitizer_begin(void)
{
    if (__sanitizer_set_report_fd == NULL)
        return;
    if (said == NULL) {
        said = tmpfile();
        if (said == NULL || pthread_atfork(NULL, NULL, redirect) != 0)
            return;
    }
    rewind(said);
    if (ftruncate(fileno(said), 0) != 0)
        (void)fprintf(stderr, "sim: cannot empty the file of sanitizer reports\n");
}

enum sim_promise sanitizer_promise(int status)
{
    return status == STATUS_MEMORY ? PROMISE_MEMORY : status == STATUS_RACE ? PROMISE_RACE : PROMISE_SANITY;
}

void sanitizer_print(FILE *to)
{
    char line[512];
    size_t left = REPORT_BYTES;

    if (said == NULL)
        return;
    rewind(said);
    while (left > 0 && fgets(line, (int)sizeof line, said) != NULL) {
        (void)fprintf(to, "  %s", line);
        left -= left < strlen(line) ? left : strlen(line);
    }
}
