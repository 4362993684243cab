/* SPDX-License-Identifier: MIT */
/* core/proc/show_system.c: the form of each file by proc(5), and that its numbers are the machine's. */
#include "show_file.h"

#include <k/errno.h>
#include <lib/string.h>
#include <proc/show.h>
#include <time/clock.h>

static bool is_hex(char digit)
{
    return (digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f');
}

/* A random UUID, with its version and variant (RFC 9562). */
static bool is_uuid(void)
{
    for (unsigned i = 0; i < 36; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23 ? text[i] != '-' : !is_hex(text[i]))
            return false;
    return strlen(text) == 37 && text[14] == '4' && text[19] >= '8' && text[36] == '\n' &&
           (text[19] <= '9' || text[19] == 'a' || text[19] == 'b');
}

/* Does the text have this form? '9' is a number, '~' anything up to the end of the line, the rest itself; spaces are
 * one or more. */
static bool has_form(const char *at, const char *form)
{
    for (; *form != '\0'; form++) {
        const char *start = at;

        if (*form == '9') {
            while (*at >= '0' && *at <= '9')
                at++;
        } else if (*form == '~') {
            while (*at != '\0' && *at != '\n')
                at++;
        } else if (*form == ' ') {
            while (*at == ' ')
                at++;
        } else if (*at == *form) {
            at++;
        }
        if (at == start)
            return false;
    }
    return *at == '\0';
}

static const char *behind(const char *name)
{
    size_t bytes = strlen(name);

    for (const char *at = text; strlen(at) >= bytes; at++)
        if ((at == text || at[-1] == '\n') && memcmp(at, name, bytes) == 0)
            return at + bytes;
    return NULL;
}

static uint64_t number(const char *name)
{
    const char *at = behind(name);
    uint64_t value = 0;

    if (!CHECK(at != NULL))
        return 0;
    while (*at == ' ')
        at++;
    CHECK(*at >= '0' && *at <= '9');
    for (; *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    return value;
}

static unsigned count_of(const char *line)
{
    size_t bytes = strlen(line);
    unsigned count = 0;

    for (const char *at = text; strlen(at) >= bytes; at++)
        count += (at == text || at[-1] == '\n') && memcmp(at, line, bytes) == 0;
    return count;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void settings_test(void)
{
    char first[40];

    CHECK(strcmp(shown("/proc/sys/kernel/pid_max"), "131072\n") == 0);
    CHECK(strcmp(shown("/proc/sys/kernel/ngroups_max"), "65536\n") == 0);
    CHECK(strcmp(shown("/proc/sys/kernel/cap_last_cap"), "40\n") == 0);
    CHECK(strcmp(shown("/proc/sys/vm/overcommit_memory"), "0\n") == 0);
    CHECK(has_form(shown("/proc/sys/vm/max_map_count"), "9\n"));
    CHECK(shown("/proc/sys/kernel/random/boot_id") && is_uuid());
    (void)str_copy(first, text, sizeof first);
    CHECK(strcmp(shown("/proc/sys/kernel/random/boot_id"), first) == 0); /* one for this boot, */
    CHECK(shown("/proc/sys/kernel/random/uuid") && is_uuid() && strcmp(text, first) != 0); /* another each time */
    /* What uname(2) says, which is registered from the right. */
    CHECK(strcmp(shown("/proc/sys/kernel/ostype"), "Linux\n") == 0);
    CHECK(has_form(shown("/proc/sys/kernel/osrelease"), "9.9.9-~\n"));
    CHECK(strcmp(shown("/proc/sys/kernel/hostname"), "verdant\n") == 0);
    CHECK(has_form(shown("/proc/sys/kernel/version"), "#9 SMP ~\n"));
    CHECK(has_form(shown("/proc/version"), "Linux version 9.9.9-~\n"));
    show_set_command_line("loglevel=3 init=x");
    CHECK(strcmp(shown("/proc/cmdline"), "loglevel=3 init=x\n") == 0);
    CHECK(show("/proc/interrupts") > 0 && count_of("TOT: ") == 1);
    CHECK(show("/proc/stat") > 0 && number("intr ") > 0);
    CHECK(show("/proc/thread-self/stat") == -ENOENT); /* who asks is no program */
}

/* What write(2) says of the file. */
static int64_t told(const char *path, const char *words)
{
    struct fs_context *context = NULL;
    struct file *file = NULL;
    struct io_span span;
    int64_t result = 0;

    CHECK(fs_context_create(&context) == 0);
    const struct path_place place = { .context = context, .cred = &cred_root };

    CHECK(path_open(&place, path, O_WRONLY, 0, &file) == 0);
    io_span_kernel(&span, (void *)(uintptr_t)words, strlen(words));
    result = file_write(file, &span);
    file_put(file);
    fs_context_put(context);
    return result;
}

static void drop_test(void)
{
    const char *path = "/proc/sys/vm/drop_caches";
    struct mm_stats before, after;

    CHECK(strcmp(shown(path), "0\n") == 0);
    CHECK(told(path, "0\n") == -EINVAL && told(path, "5\n") == -EINVAL && told(path, "33") == -EINVAL);
    CHECK(told(path, "x") == -EINVAL && told(path, "3\n\n") == -EINVAL && strcmp(shown(path), "0\n") == 0);
    CHECK(finish(spawn("one", nothing, NULL, 60, NULL)) == 0);
    CHECK(told(path, "1") == 1); /* the stack of the one that ended is kept for the next */
    mm_stats_get(&before);
    CHECK(before.pages[MM_STACKS] > 0 && told(path, "3\n") == 2 && strcmp(shown(path), "3\n") == 0);
    mm_stats_get(&after);
    CHECK(after.pages[MM_STACKS] < before.pages[MM_STACKS] && after.pages[MM_SLABS] <= before.pages[MM_SLABS]);
}

static void files_test(void)
{
    struct mm_stats stats;
    uint64_t before;

    CHECK(show("/proc/uptime") > 0 && has_form(text, "9.9 9.9\n"));
    CHECK(show("/proc/loadavg") > 0 && has_form(text, "9.9 9.9 9.9 9/9 9\n"));
    CHECK(show("/proc/filesystems") > 0 && has_form(text, "nodev\ttmpfs\nnodev\tdevtmpfs\nnodev\tproc\n"
                                                              "nodev\tsysfs\n"));
    CHECK(show("/proc/meminfo") > 0);
    mm_stats_get(&stats);
    CHECK(number("MemTotal:") == (stats.total + stats.reserved) * (PAGE_BYTES / 1024));
    CHECK(number("MemFree:") <= number("MemTotal:") && number("MemAvailable:") <= number("MemFree:"));
    CHECK(number("SwapTotal:") == 0 && number("Slab:") > 0 && number("KernelStack:") > 0);
    CHECK(show("/proc/cpuinfo") > 0 && count_of("processor\t: ") == online_count());
    CHECK(show("/proc/stat") > 0 && count_of("cpu ") == 1 && count_of("cpu") == online_count() + 1);
    before = number("processes ");
    CHECK(number("ctxt ") > 0 && number("procs_running ") > 0 && number("btime ") < UINT64_MAX);
    CHECK(finish(spawn("one", nothing, NULL, 60, NULL)) == 0);
    CHECK(show("/proc/stat") > 0 && number("processes ") > before);
    /* Who asks is no program. */
    CHECK(show("/proc/self/stat") == -ENOENT && show("/proc/mounts") == -ENOENT && show("/proc/nothing") == -ENOENT);
}

const struct kernel_test booted_tests[] = {
    { "files", files_test }, { "settings", settings_test }, { "drop", drop_test }, { NULL, NULL },
};

static void files_have_their_form_and_the_machines_numbers(void **state)
{
    (void)state;
    booted_run("files", 8);
}

static void settings_have_their_form(void **state)
{
    (void)state;
    booted_run("settings", 2);
}

static void what_is_kept_for_the_next_time_is_given_back(void **state)
{
    (void)state;
    booted_run("drop", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_have_their_form_and_the_machines_numbers),
        cmocka_unit_test(settings_have_their_form),
        cmocka_unit_test(what_is_kept_for_the_next_time_is_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
