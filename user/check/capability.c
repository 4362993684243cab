/* SPDX-License-Identifier: MIT */
/* Capabilities: capget(2), capset(2). What a thread has of them depends on who runs this; the rules do not. */
#include "check.h"

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

struct sets {
    struct __user_cap_data_struct word[2];
};

static long get(int pid, struct sets *out)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, pid };

    return syscall(SYS_capget, &header, out);
}

static long set(int pid, const struct sets *sets)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, pid };

    return syscall(SYS_capset, &header, sets);
}

CHECK(capget, tells_the_version)
{
    struct __user_cap_header_struct header = { 0, 0 };
    struct sets sets;

    GOOD(syscall(SYS_capget, &header, NULL));
    EQUAL(header.version, _LINUX_CAPABILITY_VERSION_3);
    header.version = 1;
    FAILS(EINVAL, syscall(SYS_capget, &header, &sets));
    EQUAL(header.version, _LINUX_CAPABILITY_VERSION_3);
    header.version = 1;
    FAILS(EINVAL, syscall(SYS_capset, &header, &sets));
    EQUAL(header.version, _LINUX_CAPABILITY_VERSION_3);
}

/* What /proc/self/status has on that line. */
static unsigned long long shown(const char *name)
{
    unsigned long long value = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    bool is_there = false;

    TRUE(file != NULL);
    while (!is_there && fgets(line, sizeof line, file) != NULL)
        is_there = strncmp(line, name, strlen(name)) == 0 && sscanf(line + strlen(name), "%llx", &value) == 1;
    fclose(file);
    TRUE(is_there);
    return value;
}

CHECK(capget, tells_what_proc_tells)
{
    struct sets sets;

    GOOD(get(0, &sets));
    EQUAL(shown("CapPrm:"), sets.word[0].permitted | (unsigned long long)sets.word[1].permitted << 32);
    EQUAL(shown("CapEff:"), sets.word[0].effective | (unsigned long long)sets.word[1].effective << 32);
    EQUAL(shown("CapInh:"), sets.word[0].inheritable | (unsigned long long)sets.word[1].inheritable << 32);
}

CHECK(capget, tells_of_any_thread)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_1, 0 };
    struct sets own, other;
    int child = check_fork(check_pause, NULL);

    GOOD(get(0, &own));
    memset(&other, 0x55, sizeof other);
    GOOD(get(child, &other));
    TRUE(memcmp(&own, &other, sizeof own) == 0);
    TRUE((own.word[0].effective & ~own.word[0].permitted) == 0);
    GOOD(kill(child, SIGKILL));
    check_wait(child);
    FAILS(ESRCH, get(child, &other));
    FAILS(EINVAL, get(-1, &other));
    memset(&other, 0x55, sizeof other);
    GOOD(syscall(SYS_capget, &header, &other));
    TRUE(other.word[0].effective == own.word[0].effective && other.word[1].effective == 0x55555555);
}

CHECK(capget, refuses_bad_pointers)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct sets sets;

    BAD_SOURCES(sizeof header.version, syscall(SYS_capget, bad, &sets));
    EACH_BAD(BAD_TARGET, sizeof sets, UNLESS_NULL(bad, syscall(SYS_capget, &header, bad)));
    BAD_SOURCES(sizeof header.version, syscall(SYS_capset, bad, &sets));
    BAD_SOURCES(sizeof sets, syscall(SYS_capset, &header, bad));
}

CHECK(capset, takes_away_for_good)
{
    struct sets had, wanted;

    GOOD(get(0, &had));
    GOOD(set(0, &had));
    FAILS(EPERM, set(getppid(), &had));
    wanted = had;
    wanted.word[0].effective = 0;
    wanted.word[0].permitted = 0;
    wanted.word[0].inheritable = 0;
    GOOD(set(getpid(), &wanted));
    wanted.word[0].effective = 1u << CAP_KILL; /* it is not permitted */
    FAILS(EPERM, set(0, &wanted));
    wanted.word[0].permitted = 1u << CAP_KILL;
    FAILS(EPERM, set(0, &wanted));
    wanted.word[0].effective = wanted.word[0].permitted = 0;
    wanted.word[0].inheritable = 1u << CAP_KILL;
    FAILS(EPERM, set(0, &wanted));
    GOOD(get(0, &had));
    EQUAL(had.word[0].permitted | had.word[0].effective | had.word[0].inheritable, 0);
}

CHECK(capset, counts_at_once)
{
    struct sets sets;

    GOOD(get(0, &sets));
    NEEDS((sets.word[0].effective & 1u << CAP_SETUID) != 0, "who runs this may not change ids");
    sets.word[0].effective &= ~(1u << CAP_SETUID);
    GOOD(set(0, &sets));
    FAILS(EPERM, syscall(SYS_setresuid, 7, 8, 9));
    sets.word[0].effective |= 1u << CAP_SETUID; /* it is still permitted */
    GOOD(set(0, &sets));
    GOOD(syscall(SYS_setresuid, 7, 8, 9));
    GOOD(get(0, &sets));
    EQUAL(sets.word[0].permitted | sets.word[0].effective, 0);
}
