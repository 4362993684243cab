/* SPDX-License-Identifier: MIT */
/*
 * What unit tests on the simulated machine ask of ThreadSanitizer. At its end a process sleeps for a second, so that
 * other threads may still race: there are none, and each forked run is a process.
 */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "atexit_sleep_ms=0";
}
