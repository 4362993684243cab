/* SPDX-License-Identifier: MIT */
/* core/proc/show_sysfs.c: what is shown of CPUs and nodes is what the machine has; listings have each name once. */
#include "show_file.h"

#include <boot/hotplug.h>
#include <k/errno.h>
#include <lib/string.h>
#include <smp/cpu.h>

#define CPUS "/sys/devices/system/cpu/"
#define NODES "/sys/devices/system/node/"

static bool shows(const char *path, const char *expected)
{
    return strcmp(shown(path), expected) == 0;
}

/* How many entries of the folder begin so. */
static unsigned count_entries(const char *path, const char *prefix)
{
    struct fs_context *context = NULL;
    struct file *file = NULL;
    struct io_span span;
    unsigned count = 0;
    int64_t bytes;

    CHECK(fs_context_create(&context) == 0);
    const struct path_place place = { .context = context, .cred = &cred_root };

    CHECK(path_open(&place, path, O_RDONLY | O_DIRECTORY, 0, &file) == 0);
    for (;;) {
        io_span_kernel(&span, text, sizeof text);
        bytes = file_read_dir(file, &span);
        CHECK(bytes >= 0);
        if (bytes <= 0)
            break;
        for (int64_t at = 0; at < bytes; at += *(uint16_t *)&text[at + 16])
            count += memcmp(&text[at + 19], prefix, strlen(prefix)) == 0;
    }
    file_put(file);
    fs_context_put(context);
    return count;
}

/* Of a machine of four CPUs without a topology. */
static void four(void)
{
    CHECK(shows(CPUS "online", "0-3\n") && shows(CPUS "possible", "0-3\n") && shows(CPUS "present", "0-3\n"));
    CHECK(shows(CPUS "cpu3/online", "1\n") && shows(CPUS "cpu3/topology/thread_siblings_list", "3\n"));
    CHECK(shows(CPUS "cpu2/topology/core_id", "2\n") && show(CPUS "cpu4/online") == -ENOENT);
    CHECK(shows(NODES "online", "0\n") && shows(NODES "node0/cpulist", "0-3\n"));
    CHECK(shows(NODES "node0/distance", "10\n"));
    CHECK(shows(NODES "node0/cpumap", "00000000,0000000f\n") && show(NODES "node1/cpulist") == -ENOENT);
    CHECK(memcmp(shown(NODES "node0/meminfo"), "Node 0 MemTotal: ", 17) == 0);
    CHECK(count_entries(CPUS, "cpu") == 4 && count_entries(CPUS "cpu0/topology", "core_id") == 1);
    CHECK(count_entries("/sys", "devices") == 1 && count_entries("/sys", "1") == 0);
    CHECK(cpu_offline(3) == 0 && shows(CPUS "online", "0-2\n") && shows(CPUS "cpu3/online", "0\n"));
    CHECK(shows(CPUS "present", "0-3\n"));
}

static void one(void)
{
    CHECK(shows(CPUS "online", "0\n") && shows(NODES "node0/cpulist", "0\n"));
    CHECK(count_entries(CPUS, "cpu") == 1 && count_entries(NODES, "node") == 1);
}

const struct kernel_test booted_tests[] = { { "four", four }, { "one", one }, { NULL, NULL } };

static void the_machine_is_shown(void **state)
{
    (void)state;
    booted_run_on(4, "four", "", 1);
    booted_run_on(1, "one", "", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_machine_is_shown) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
