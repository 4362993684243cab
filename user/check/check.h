/* SPDX-License-Identifier: MIT */
/*
 * System calls, checked from a program: each must succeed, fail, and refuse bad pointers as Linux's man pages say. It
 * is an ordinary static Linux program; on Linux itself all checks pass, which is how they are checked. Calls go
 * through syscall(2), because a C library's wrappers look at arguments themselves.
 *
 * A check is a function that runs in a process of its own, in an empty folder of its own, and ends at the first thing
 * that is not as it should be.
 */
#pragma once

#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

struct check {
    const char *call, *name;
    void (*run)(void);
    struct check *next;
};

void check_register(struct check *check);

/* CHECK(openat, creates_a_file) { ... } */
#define CHECK(call_, name_)                                                                  \
    static void call_##__##name_(void);                                                      \
    static struct check check_##call_##__##name_ = {#call_, #name_, call_##__##name_, NULL}; \
    __attribute__((constructor)) static void register_##call_##__##name_(void)               \
    {                                                                                        \
        check_register(&check_##call_##__##name_);                                           \
    }                                                                                        \
    static void call_##__##name_(void)

/* Each ends the check if it does not hold. */
long check_good(const char *file, int line, const char *text, long result);
void check_fails(const char *file, int line, const char *text, long result, int error);
void check_equal(const char *file, int line, const char *text, long long value, long long expected);
_Noreturn void check_failed(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
_Noreturn void check_skip(const char *why);

/* The call succeeds: its result. */
#define GOOD(call) check_good(__FILE__, __LINE__, #call, (call))
/* The call returns -1 with this errno. */
#define FAILS(error, call) check_fails(__FILE__, __LINE__, #call, (errno = 0, (call)), error)
#define EQUAL(value, expected) check_equal(__FILE__, __LINE__, #value, (long long)(value), (long long)(expected))
#define TRUE(condition)                                                  \
    do {                                                                 \
        if (!(condition))                                                \
            check_failed(__FILE__, __LINE__, "%s is not so", #condition); \
    } while (0)
/* The rest of the check needs something that this system has not. */
#define NEEDS(condition, why) \
    do {                      \
        if (!(condition))     \
            check_skip(why);  \
    } while (0)

#define PAGE 4096ul

/*
 * Addresses at which `bytes` bytes cannot all be read, or written: NULL, the kernel's half, behind the end of the
 * user's, what is not mapped, what has no rights, what begins well and ends badly, and for writing what is read-only.
 */
enum bad { BAD_SOURCE, BAD_TARGET };
void *check_bad(enum bad bad, size_t bytes, int index, const char **out_name); /* name NULL: no more */
void check_bad_fails(const char *file, int line, const char *text, const char *name, long result);

#define EACH_BAD(kind, bytes, call)                                                               \
    do {                                                                                          \
        const char *bad_name;                                                                     \
        for (int bad_index = 0;; bad_index++) {                                                   \
            void *bad = check_bad(kind, bytes, bad_index, &bad_name);                             \
            if (bad_name == NULL)                                                                 \
                break;                                                                            \
            check_bad_fails(__FILE__, __LINE__, #call, bad_name, (errno = 0, (call)));            \
        }                                                                                         \
    } while (0)
/* The call, in which `bad` is the address, fails with EFAULT for each of them. */
#define BAD_SOURCES(bytes, call) EACH_BAD(BAD_SOURCE, bytes, call)
#define BAD_TARGETS(bytes, call) EACH_BAD(BAD_TARGET, bytes, call)

/* For an argument that may be NULL: that case is passed over. */
#define UNLESS_NULL(address, call) ((address) == NULL ? (errno = EFAULT, -1) : (call))

/* A child that runs `body` and exits with what it returns; its id. A failed check in it ends it with CHECK_FAILED. */
#define CHECK_FAILED 97
#define CHECK_SKIPPED 98
int check_fork(int (*body)(void *), void *arg);
/* Wait for it: the status as wait4(2) gives it. */
int check_wait(int pid);
/* A body that waits for its end. */
int check_pause(void *arg);
/* The child must exit with 0. */
void check_child(int (*body)(void *), void *arg);

/* Block that signal, and make *set of it alone: to wait for it. */
void check_block(sigset_t *set, int number);

/* A file with this content; its descriptor, open for reading and writing. */
int check_file(const char *name, const void *data, size_t bytes);
/* Whole pages of fresh memory. */
void *check_pages(size_t bytes, int protection);
/* Wait, without a limit in time, until the condition that `is_so` tells holds; the check's own alarm ends it. */
void check_until(bool (*is_so)(void *), void *arg);
/* Whether that task waits in the kernel: its state in /proc is S. */
bool check_sleeps(int tid);

extern const char *check_program; /* an absolute path of this program */
/* What this program does instead of checking if its first argument is "--as". */
int check_run_as(int argc, char **argv);
/* Of the program that an exec has begun: 0 if it is so. */
int registers_have_no_secret(void);
/* And of one whose CPU time is limited to a second, half of which was used before: use the rest. */
int limits_be_busy(void);
int privilege_see(void); /* privilege.c: 10 if it is root, else 11 */

/* A page that children share. */
void *check_shared_page(void);
