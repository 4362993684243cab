/* SPDX-License-Identifier: MIT */
/* Compiler attributes, container_of, and the lock annotations that clang's -Wthread-safety checks. */
#pragma once

#include <stddef.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define COLD __attribute__((cold))
#define MUST_USE __attribute__((warn_unused_result))
#define PACKED __attribute__((packed))
#define ALIGNED(n) __attribute__((aligned(n)))
#define SECTION(name) __attribute__((section(name)))
#define USED __attribute__((used))
#define PRINTF_LIKE(string, first) __attribute__((__format__(printf, string, first)))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Written during boot only; made read-only before the first task runs. */
#define RO_AFTER_INIT SECTION(".data.ro_after_init")

#define CACHE_LINE_BYTES 64
#define CACHE_ALIGNED ALIGNED(CACHE_LINE_BYTES)

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define ROUND_UP(x, n) ((((x) + (n)-1) / (n)) * (n))     /* n > 0; the caller excludes overflow */
#define ROUND_DOWN(x, n) (((x) / (n)) * (n))
#define IS_ALIGNED(x, n) (((x) % (n)) == 0)

/* Clang thread-safety analysis. GUARDED_BY documents only: clang 19 cannot resolve a sibling member in C. */
#define CAPABILITY(name) __attribute__((capability(name)))
#define ACQUIRES(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define TRY_ACQUIRES(...) __attribute__((try_acquire_capability(__VA_ARGS__)))
#define RELEASES(...) __attribute__((release_capability(__VA_ARGS__)))
#define REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define EXCLUDES(...) __attribute__((locks_excluded(__VA_ARGS__)))
#define NO_LOCK_ANALYSIS __attribute__((no_thread_safety_analysis))
#define GUARDED_BY(lock)
