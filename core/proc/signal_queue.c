/* SPDX-License-Identifier: MIT */
/*
 * Pending signals. Standard ones have a place each; real-time ones, and what timers send, a ring of records for each
 * number, of which the last is known: adding, taking and finding take the same few steps however many there are. The
 * lock is the process's.
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
    return &pending->last[number - 1];
}

bool signal_pending_add(struct signal_pending *pending, const struct signal_info *info, struct signal_record *record)
{
    unsigned number = (unsigned)info->number;

    ASSERT(number >= 1 && number <= SIGNAL_MAX);
    pending->set |= signal_bit(number);
    if (number < SIGNAL_REALTIME && (record == NULL || !record->is_timers)) {
        if ((pending->placed & signal_bit(number)) == 0)
            pending->standard[number - 1] = *info;
        pending->placed |= signal_bit(number);
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

/* Nothing of that number may be left: then it is not pending. */
static void forget_if_empty(struct signal_pending *pending, unsigned number)
{
    if (*ring_of(pending, number) == NULL)
        pending->set &= ~signal_bit(number) | pending->placed;
}

struct signal_record *signal_pending_take(struct signal_pending *pending, unsigned number, struct signal_info *out)
{
    struct signal_record **last = ring_of(pending, number);
    struct signal_record *first = NULL;

    ASSERT((pending->set & signal_bit(number)) != 0);
    if ((pending->placed & signal_bit(number)) != 0) {
        *out = pending->standard[number - 1];
        pending->placed &= ~signal_bit(number);
    } else if (*last == NULL) {
        *out = (struct signal_info){ .number = (int32_t)number, .code = SI_USER };
    } else {
        first = (*last)->next;
        *out = first->info;
        if (first == *last)
            *last = NULL;
        else
            (*last)->next = first->next;
    }
    forget_if_empty(pending, number);
    return first;
}

void signal_pending_remove(struct signal_pending *pending, struct signal_record *record)
{
    unsigned number = (unsigned)record->info.number;
    struct signal_record **last = ring_of(pending, number);
    struct signal_record *before = *last;

    while (before->next != record) /* a ring as long as the limit on records at most */
        before = before->next;
    before->next = record->next;
    if (before == record)
        *last = NULL;
    else if (*last == record)
        *last = before;
    forget_if_empty(pending, number);
}

struct signal_record *signal_pending_flush(struct signal_pending *pending, uint64_t set)
{
    struct signal_record *chain = NULL;
    uint64_t found = pending->set & set;

    pending->set &= ~set;
    pending->placed &= ~set;
    while (found != 0) {
        struct signal_record **last = ring_of(pending, (unsigned)__builtin_ctzll(found) + 1);

        found &= found - 1;
        if (*last == NULL)
            continue;
        struct signal_record *first = (*last)->next;

        (*last)->next = chain;
        chain = first;
        *last = NULL;
    }
    return chain;
}
