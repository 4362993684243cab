/* SPDX-License-Identifier: MIT */
/* A worker: threads that make calls until they have made enough, or one of these calls ends them. */
#include "fuzz.h"

#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#define CHILD_CALLS 25

static struct progress *shared;
static unsigned here;

static uint64_t mix(uint64_t sum, uint64_t more)
{
    sum = (sum ^ more) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 29;
}

static bool is_fork(const struct call *call)
{
    return strcmp(call->name, "fork") == 0 || strcmp(call->name, "clone") == 0 || strcmp(call->name, "clone3") == 0;
}

/* Returns whether this is a new child. */
static bool make_call(struct stream *stream)
{
    const struct call *call = &calls[below(stream, call_count)];
    uint64_t digest = (uint64_t)call->number;
    long arg[6];

    if (call->seldom == 0 || !seldom(stream, call->seldom) || (is_fork(call) && stream->depth >= 2))
        return false;
    size_t known = call->kinds != NULL ? strlen(call->kinds) : 0;

    for (unsigned i = 0; i < 6; i++) {
        arg[i] = value(stream, i < known ? call->kinds[i] : 'i');
        digest = mix(digest, (uint64_t)arg[i]);
    }
    shared->calls[here]++;
    shared->digest += digest;
    long result = syscall(call->number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);

    if (result < 0)
        shared->refused[here]++;
    if (!is_fork(call) || result < 0)
        return false;
    if (result == 0)
        return true;
    stream->child = (int)result;
    return false;
}

static void make_calls(struct stream *stream, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (!make_call(stream))
            continue;
        /* The child has some of its own. */
        stream->state ^= UINT64_C(0x5555555555555555) * ++stream->depth;
        stream->state += stream->state == 0;
        make_calls(stream, CHILD_CALLS);
        _exit(0);
    }
}

static void *thread_main(void *arg)
{
    make_calls(arg, CALLS_PER_THREAD);
    return NULL;
}

static void limit(int resource, rlim_t most)
{
    struct rlimit both = {most, most};

    (void)setrlimit(resource, &both);
}

void worker_run(struct progress *progress, unsigned place, uint64_t seed)
{
    static struct stream streams[THREADS];
    pthread_t thread;

    shared = progress;
    here = place;
    limit(RLIMIT_AS, 128 << 20);
    limit(RLIMIT_FSIZE, 256 << 10);
    limit(RLIMIT_NOFILE, 64);
    limit(RLIMIT_CORE, 0);
    values_prepare();
    if (place % 2 != 0) /* not every one is root */
        (void)!setuid(65534);
    for (unsigned i = 0; i < THREADS; i++)
        streams[i].state = mix(seed, i + 1) | 1;
    for (unsigned i = 1; i < THREADS; i++)
        if (pthread_create(&thread, NULL, thread_main, &streams[i]) != 0)
            _exit(101);
    make_calls(&streams[0], CALLS_PER_THREAD);
    _exit(0);
}
