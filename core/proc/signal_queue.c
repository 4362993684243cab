/* SPDX-License-Identifier: MIT */
/*
 * Pending signals. Standard ones have a place each; real-time ones a ring of records each, of which the last is known:
 * adding, taking and finding take the same few steps however many there are. The lock is the process's.
 */
#include <proc/signal.h>

#include <k/assert.h>
#include <proc/signo.h>

/* What a thread did to itself comes before what others want of it, so that the frame shows where it was. */
#define SYNCHRONOUS                                                                                              \
    (signal_bit(SIGSEGV) | signal_bit(SIGBUS) | signal_bit(SIGILL) | signal_bit(SIGTRAP) | signal_bit(SIGFPE) | \
     signal_bit(SIGSYS))

static struct signal_record **ring_of(struct signal_pending *pending, unsigned number)
{
    return &pending->last[number - SIGNAL_REALTIME];
}

bool signal_pending_add(struct signal_pending *pending, const struct signal_info *info, struct signal_record *record)
{
    unsigned number = (unsigned)info->number;

    ASSERT(number >= 1 && number <= SIGNAL_MAX);
    bool was_pending = (pending->set & signal_bit(number)) != 0;

    pending->set |= signal_bit(number);
    if (number < SIGNAL_REALTIME) {
        if (!was_pending)
            pending->standard[number - 1] = *info;
        return false;
    }
    if (record == NULL)
        return false;
    struct signal_record **last = ring_of(pending, number);

    record->info = *info;
    record->next = *last == NULL ? record : (*last)->next;
    if (*last != NULL)
        (*last)->next = record;
    *last = record;
    return true;
}

unsigned signal_pending_first(const struct signal_pending *pending, uint64_t wanted)
{
    uint64_t found = pending->set & wanted;

    if ((found & SYNCHRONOUS) != 0)
        found &= SYNCHRONOUS;
    return found == 0 ? 0 : (unsigned)__builtin_ctzll(found) + 1;
}

struct signal_record *signal_pending_take(struct signal_pending *pending, unsigned number, struct signal_info *out)
{
    ASSERT((pending->set & signal_bit(number)) != 0);
    if (number < SIGNAL_REALTIME) {
        *out = pending->standard[number - 1];
        pending->set &= ~signal_bit(number);
        return NULL;
    }
    struct signal_record **last = ring_of(pending, number);
    struct signal_record *first = NULL;

    if (*last == NULL) {
        *out = (struct signal_info){ .number = (int32_t)number, .code = SI_USER };
    } else {
        first = (*last)->next;
        *out = first->info;
        if (first == *last)
            *last = NULL;
        else
            (*last)->next = first->next;
    }
    if (*last == NULL)
        pending->set &= ~signal_bit(number);
    return first;
}

struct signal_record *signal_pending_flush(struct signal_pending *pending, uint64_t set)
{
    struct signal_record *chain = NULL;
    uint64_t queued = pending->set & set & ~(signal_bit(SIGNAL_REALTIME) - 1);

    pending->set &= ~set;
    while (queued != 0) {
        struct signal_record **last = ring_of(pending, (unsigned)__builtin_ctzll(queued) + 1);

        queued &= queued - 1;
        if (*last == NULL)
            continue;
        struct signal_record *first = (*last)->next;

        (*last)->next = chain;
        chain = first;
        *last = NULL;
    }
    return chain;
}
