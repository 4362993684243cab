/* SPDX-License-Identifier: MIT */
/* core/syscall/memory.c: mappings come, change and go by Linux's flags and errors. */
#include "call_world.h"

#include <proc/limits.h>

enum { R = 1, W = 2, X = 4 };
enum { SHARED = 1, PRIVATE = 2, VALIDATE = 3, FIXED = 0x10, ANON = 0x20, GROWSDOWN = 0x100, LOCKED = 0x2000,
       POPULATE = 0x8000, HUGETLB = 0x40000, SYNC = 0x80000, NOREPLACE = 0x100000 };

#define NONE U(-1) /* no descriptor */
#define MAP(at, bytes, prot, flags) CALL(mmap, at, bytes, prot, flags, NONE, 0)

static int mapping(void)
{
    int64_t at = MAP(0, 3 * PAGE_BYTES - 5, R | W, PRIVATE | ANON);

    CHECK(at > 0 && (at & (PAGE_BYTES - 1)) == 0 && get64((vaddr_t)at + 2 * PAGE_BYTES) == 0);
    put64((vaddr_t)at, 9);
    CHECK(MAP((uint64_t)at, PAGE_BYTES, R, PRIVATE | ANON | NOREPLACE) == -EEXIST);
    CHECK(MAP((uint64_t)at, PAGE_BYTES, R, PRIVATE | ANON | FIXED) == at && get64((vaddr_t)at) == 0);
    CHECK(user_clear((vaddr_t)at, 8) == -EFAULT);
    CHECK(MAP(0, 0, R, PRIVATE | ANON) == -EINVAL && MAP(0, PAGE_BYTES, R, ANON) == -EINVAL);
    CHECK(MAP(0, PAGE_BYTES, R, 4 | ANON) == -EINVAL && MAP(3, PAGE_BYTES, R, PRIVATE | ANON | FIXED) == -EINVAL);
    CHECK(MAP(0, PAGE_BYTES, R, PRIVATE | ANON | FIXED) == -EPERM && MAP(0, UINT64_MAX, R, PRIVATE | ANON) == -ENOMEM);
    CHECK(MAP(0, PAGE_BYTES, R, VALIDATE | ANON | SYNC) == -EOPNOTSUPP && MAP(0, PAGE_BYTES, R, VALIDATE | ANON) > 0);
    CHECK(MAP(0, PAGE_BYTES, R, PRIVATE | ANON | HUGETLB) == -ENOMEM && MAP(0, PAGE_BYTES, R, PRIVATE) == -EBADF);
    CHECK(CALL(mmap, 0, PAGE_BYTES, R, PRIVATE | ANON, NONE, 7) == -EINVAL);
    CHECK(MAP(0, PAGE_BYTES, R | W, SHARED | ANON | GROWSDOWN) == -EINVAL);
    CHECK(MAP(0, PAGE_BYTES, R | W, PRIVATE | ANON | GROWSDOWN) > 0);
    CHECK(MAP(0, PAGE_BYTES, R, PRIVATE | ANON | POPULATE) > 0);
    CHECK(CALL(munmap, (uint64_t)at, PAGE_BYTES) == 0 && user_clear((vaddr_t)at, 8) == -EFAULT);
    CHECK(CALL(munmap, (uint64_t)at, PAGE_BYTES) == 0 && CALL(munmap, (uint64_t)at + 1, PAGE_BYTES) == -EINVAL);
    CHECK(CALL(munmap, (uint64_t)at, 0) == -EINVAL && CALL(munmap, HAL_USER_END, PAGE_BYTES) == -EINVAL);
    return 0;
}

static int protecting(void)
{
    put64(PAGE0, 4);
    CHECK(CALL(mprotect, PAGE0, 100, R) == 0 && user_clear(PAGE0, 8) == -EFAULT && get64(PAGE0) == 4);
    put64(PAGE0 + PAGE_BYTES, 4);
    CHECK(CALL(mprotect, PAGE0, PAGE_BYTES, R | W | 8) == 0 && user_clear(PAGE0, 8) == 0);
    CHECK(CALL(mprotect, PAGE0 + 1, 1, R) == -EINVAL && CALL(mprotect, PAGE0, 1, 0x10) == -EINVAL);
    CHECK(CALL(mprotect, PAGE0, 0, R) == 0 && CALL(mprotect, PAGE0, 3 * PAGE_BYTES, R) == -ENOMEM);
    CHECK(CALL(mprotect, PAGE0, UINT64_MAX, R) == -ENOMEM && CALL(mprotect, HAL_USER_END, PAGE_BYTES, R) == -ENOMEM);
    CHECK(CALL(mprotect, PAGE0, PAGE_BYTES, R | 0x01000000) == -EINVAL); /* grows down: no such mapping */

    int64_t moved = CALL(mremap, PAGE0, PAGE_BYTES, 4 * PAGE_BYTES, 1);

    CHECK(moved > 0 && moved != (int64_t)PAGE0 && get64((vaddr_t)moved) == 0 && user_clear(PAGE0, 8) == -EFAULT);
    CHECK(CALL(mremap, (uint64_t)moved, 4 * PAGE_BYTES, PAGE_BYTES, 0) == moved);
    CHECK(CALL(mremap, (uint64_t)moved, PAGE_BYTES, PAGE_BYTES, 8) == -EINVAL);
    CHECK(CALL(mremap, NOWHERE, PAGE_BYTES, PAGE_BYTES, 1) == -EFAULT);
    CHECK(CALL(mremap, (uint64_t)moved, PAGE_BYTES, PAGE_BYTES, UINT64_C(1) << 32) == -EINVAL);
    return 0;
}

static int heap(void)
{
    const struct process_limit data = { .soft = 6 * PAGE_BYTES, .hard = LIMIT_NONE }; /* with the two that are there */

    CHECK(CALL(brk, 0) == 0 && CALL(brk, NOWHERE) == 0); /* none yet */
    CHECK(space_set_heap(space_current(), NOWHERE) == 0);
    CHECK(CALL(brk, 0) == NOWHERE && CALL(brk, NOWHERE + 100) == NOWHERE + 100);
    put64(NOWHERE + 64, 3);
    CHECK(CALL(brk, NOWHERE - 1) == NOWHERE + 100);
    CHECK(process_limit_change(process_current(), LIMIT_DATA, &data, true, NULL) == 0);
    CHECK(CALL(brk, NOWHERE + 4 * PAGE_BYTES) == NOWHERE + 4 * PAGE_BYTES);
    CHECK(CALL(brk, NOWHERE + 4 * PAGE_BYTES + 1) == NOWHERE + 4 * PAGE_BYTES);
    CHECK(CALL(brk, HAL_USER_END + PAGE_BYTES) == NOWHERE + 4 * PAGE_BYTES);
    CHECK(MAP(0, PAGE_BYTES, R | W, PRIVATE | ANON) == -ENOMEM && MAP(0, PAGE_BYTES, R, PRIVATE | ANON) > 0);
    CHECK(MAP(0, PAGE_BYTES, R | W, SHARED | ANON) > 0);
    CHECK(CALL(mremap, PAGE0, PAGE_BYTES, 2 * PAGE_BYTES, 1) == -ENOMEM);
    CHECK(CALL(mprotect, PAGE0, PAGE_BYTES, R) == 0 && CALL(mprotect, PAGE0, 2 * PAGE_BYTES, R | W) == 0);
    CHECK(CALL(mprotect, PAGE0, PAGE_BYTES, R) == 0 && MAP(0, PAGE_BYTES, R | W, PRIVATE | ANON) > 0);
    CHECK(CALL(mprotect, PAGE0, 2 * PAGE_BYTES, R | W) == -ENOMEM);
    CHECK(get64(NOWHERE + 64) == 3 && CALL(brk, NOWHERE) == NOWHERE && user_clear(NOWHERE, 8) == -EFAULT);
    struct space_stats stats;

    space_stats_get(space_current(), &stats);
    const struct process_limit all = { .soft = stats.mapped_bytes + 2 * PAGE_BYTES, .hard = LIMIT_NONE };

    CHECK(process_limit_change(process_current(), LIMIT_AS, &all, true, NULL) == 0);
    CHECK(MAP(0, 2 * PAGE_BYTES, R, PRIVATE | ANON) > 0 && MAP(0, PAGE_BYTES, R, PRIVATE | ANON) == -ENOMEM);
    CHECK(CALL(mremap, PAGE0, PAGE_BYTES, 2 * PAGE_BYTES, 1) == -ENOMEM);
    return 0;
}

static int advising(void)
{
    static const int harmless[] = { 0, 1, 2, 3, 11, 16, 17, 19, 20, 21 }, refused[] = { 5, 9, 10, 12, 18, 99, 100 };

    for (unsigned i = 0; i < ARRAY_COUNT(harmless); i++) {
        CHECK(CALL(madvise, PAGE0, 2 * PAGE_BYTES, U(harmless[i])) == 0);
        CHECK(CALL(madvise, PAGE0, 3 * PAGE_BYTES, U(harmless[i])) == -ENOMEM);
        CHECK(CALL(madvise, PAGE0, 0, U(harmless[i])) == 0);
    }
    for (unsigned i = 0; i < ARRAY_COUNT(refused); i++)
        CHECK(CALL(madvise, PAGE0, PAGE_BYTES, U(refused[i])) == -EINVAL);
    put64(PAGE0, 1);
    CHECK(CALL(madvise, PAGE0, 1, 4) == 0 && get64(PAGE0) == 0);
    put64(PAGE0, 1);
    CHECK(CALL(madvise, PAGE0, PAGE_BYTES, 8) == 0 && get64(PAGE0) == 0);
    CHECK(CALL(madvise, PAGE0 + 1, PAGE_BYTES, 0) == -EINVAL && CALL(madvise, PAGE0, UINT64_MAX, 0) == -EINVAL);
    CHECK(CALL(madvise, PAGE0, PAGE_BYTES, 14) == 0 && CALL(madvise, PAGE0, PAGE_BYTES, 15) == 0);
    return 0;
}

static int resident(void)
{
    const vaddr_t answer = PAGE0 + PAGE_BYTES;
    int64_t at = MAP(0, 2 * PAGE_BYTES, R | W, PRIVATE | ANON);

    put64((vaddr_t)at + PAGE_BYTES, 1);
    CHECK(CALL(mincore, (uint64_t)at, 2 * PAGE_BYTES, answer) == 0 && (get64(answer) & 0xffff) == 0x0100);
    CHECK(CALL(mincore, (uint64_t)at + 1, PAGE_BYTES, answer) == -EINVAL);
    CHECK(CALL(mincore, (uint64_t)at, PAGE_BYTES, NOWHERE) == -EFAULT);
    CHECK(CALL(mincore, (uint64_t)at, PAGE_BYTES, HAL_USER_END) == -EFAULT);
    CHECK(CALL(mincore, NOWHERE, PAGE_BYTES, answer) == -ENOMEM && CALL(mincore, (uint64_t)at, 0, answer) == 0);
    CHECK(CALL(mlock2, (uint64_t)at + 5, 10, 1) == 0 && CALL(mlock2, (uint64_t)at, 10, 2) == -EINVAL);
    CHECK(CALL(mlock, (uint64_t)at + 5, 10) == 0);
    CHECK(CALL(mincore, (uint64_t)at, 2 * PAGE_BYTES, answer) == 0 && (get64(answer) & 0xffff) == 0x0101);
    CHECK(CALL(mlock, NOWHERE, 1) == -ENOMEM && CALL(mlock, PAGE0, UINT64_MAX) == -EINVAL);
    CHECK(CALL(munlock, (uint64_t)at, PAGE_BYTES) == 0 && CALL(munlock, NOWHERE, 1) == -ENOMEM);
    CHECK(CALL(mlockall, 0) == -EINVAL && CALL(mlockall, 4) == -EINVAL && CALL(mlockall, 8) == -EINVAL);
    CHECK(CALL(mlockall, 3) == 0 && CALL(munlockall) == 0);
    CHECK(CALL(msync, PAGE0, PAGE_BYTES, 4) == 0 && CALL(msync, PAGE0, PAGE_BYTES, 5) == -EINVAL);
    CHECK(CALL(msync, PAGE0 + 1, PAGE_BYTES, 1) == -EINVAL && CALL(msync, PAGE0, 9 * PAGE_BYTES, 2) == -ENOMEM);
    CHECK(CALL(msync, PAGE0, PAGE_BYTES, 8) == -EINVAL);

    const struct process_limit small = { .soft = PAGE_BYTES, .hard = LIMIT_NONE }, none = { 0, LIMIT_NONE };

    CHECK(process_limit_change(process_current(), LIMIT_MEMLOCK, &small, true, NULL) == 0);
    CHECK(CALL(mlock, PAGE0, 2 * PAGE_BYTES) == 0); /* CAP_IPC_LOCK */
    world_become(1000);
    CHECK(CALL(mlock, PAGE0, PAGE_BYTES) == 0 && CALL(mlock, PAGE0, 2 * PAGE_BYTES) == -ENOMEM);
    CHECK(MAP(0, 2 * PAGE_BYTES, R, PRIVATE | ANON | LOCKED) == -EAGAIN && CALL(mlockall, 1) == -ENOMEM);
    CHECK(process_limit_change(process_current(), LIMIT_MEMLOCK, &none, true, NULL) == 0);
    CHECK(CALL(mlock, PAGE0, 1) == -EPERM && CALL(mlockall, 2) == -EPERM);
    return 0;
}

#define STORY(name) \
    static void run_##name(void) { world_run(name); }
STORY(mapping)
STORY(protecting)
STORY(heap)
STORY(advising)
STORY(resident)

const struct kernel_test booted_tests[] = {
    { "mapping", run_mapping },   { "protecting", run_protecting }, { "heap", run_heap },
    { "advising", run_advising }, { "resident", run_resident },     { NULL, NULL },
};

static void mappings_come_change_and_go(void **state)
{
    (void)state;
    booted_run("mapping", 4);
    booted_run("protecting", 4);
    booted_run("heap", 4);
}

static void advice_and_locks_are_checked(void **state)
{
    (void)state;
    booted_run("advising", 4);
    booted_run("resident", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mappings_come_change_and_go),
        cmocka_unit_test(advice_and_locks_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
