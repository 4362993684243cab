/* SPDX-License-Identifier: MIT */
/*
 * Random system calls with half-valid arguments. A supervisor (supervisor.c) starts workers, which are processes with
 * threads of their own that do nothing but calls (worker.c, with arguments of value.c); it ends those that are stuck,
 * starts new ones until enough calls are made, and compares in the end what the kernel says that it has in use. An
 * ordinary static Linux program.
 */
#pragma once

#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORKERS 4
#define THREADS 3
#define CALLS_PER_THREAD 400 /* of one worker's life, at most */

/* Shared with the workers, which may write to it by mistake: it is reported, and nothing depends on it but progress. */
struct progress {
    _Atomic(uint64_t) calls[WORKERS];   /* made, by the worker that has this place */
    _Atomic(uint64_t) refused[WORKERS]; /* of these: with an error */
    _Atomic(uint64_t) digest;           /* of calls and arguments, whatever their order */
};

/* ---- worker.c ---- */

/* In a process of its own; ends it. */
_Noreturn void worker_run(struct progress *progress, unsigned place, uint64_t seed);

/* ---- value.c: arguments ---- */

struct stream {
    uint64_t state; /* xorshift64*; never 0 */
    int child;      /* the last one that was forked from here, or 0 */
    unsigned depth; /* forks since the worker's start */
};

uint64_t next(struct stream *stream);
static inline uint64_t below(struct stream *stream, uint64_t limit)
{
    return next(stream) % limit;
}
/* One time of so many. */
static inline bool seldom(struct stream *stream, unsigned times)
{
    return below(stream, times) == 0;
}

/* Memory, files and a folder for arguments to mean. */
void values_prepare(void);

/* A letter says what an argument is: the list is at the definition. */
long value(struct stream *stream, char kind);

struct call {
    const char *name;
    long number;
    const char *kinds; /* of its arguments; NULL: nobody knows */
    unsigned seldom;   /* made one time of so many that it is chosen; 0: never */
};
extern struct call calls[];
extern const unsigned call_count;
void calls_prepare(void);
