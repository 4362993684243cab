/* SPDX-License-Identifier: MIT */
/* The choice of a victim, and the wait for its memory. What is here is guarded by the tree lock. */
#include <proc/oom.h>

#include <fs/fd.h>
#include <k/errno.h>
#include <k/log.h>
#include <lib/string.h>
#include <mm/phys.h>
#include <mm/slab.h>
#include <proc/signo.h>
#include <proc/task.h>
#include <sched/sched.h>
#include <time/clock.h>

#include "proc_priv.h"

/* How long an access of the kernel's waits that holds a mutex, which the victim may need for its end. */
#define PATIENCE_NS NS_PER_SEC
/* How often one looks whether those that are ending have ended, and how many times: a crowd may go on for ever. */
#define ENDS_PATIENCE_NS NS_PER_MS
#define ENDS_TRIES 50u

static struct {
    unsigned victims;           /* guarded by the tree lock */
    _Atomic(uint64_t) returned; /* PAIRS(oom_returned): victims whose memory is back, ever */
    struct waitq wait;          /* for that to change */
} oom = { .wait = WAITQ_INIT(oom.wait) };

uint64_t oom_points(uint64_t pages, int adjust, uint64_t total)
{
    int64_t points = (int64_t)pages + adjust * (int64_t)total / OOM_ADJUST_MAX;

    if (adjust == OOM_ADJUST_NEVER)
        return 0;
    return points > (int64_t)OOM_SMALL_PAGES ? (uint64_t)points : OOM_SMALL_PAGES;
}

/* Threads may have tables of their own: the first one's stands for all. */
static uint64_t descriptor_pages_locked(struct process *process) REQUIRES(proc_tree_lock)
{
    list_for_each(node, &process->threads) {
        struct fd_table *files = list_entry(node, struct thread, link)->user.files;

        if (files != NULL)
            return fd_held_bytes(files) / PAGE_BYTES;
    }
    return 0;
}

/* What would come back with it, about: of shared memory some stays, and a file that is mapped, too, counts twice. */
static uint64_t all_pages_locked(struct process *process) REQUIRES(proc_tree_lock)
{
    struct space_stats stats;

    space_stats_get(process->space, &stats);
    return stats.resident_pages + descriptor_pages_locked(process);
}

static uint64_t all_pages(void)
{
    struct phys_stats stats;

    phys_stats_get(&stats);
    return stats.total_pages;
}

static bool is_ending_locked(struct process *process) REQUIRES(proc_tree_lock)
{
    return process->is_exiting || process_end_status(process, -1) != -1;
}

static bool can_be_victim_locked(struct process *process) REQUIRES(proc_tree_lock)
{
    return process->has_user && process->state == PROCESS_ALIVE && process->space != NULL &&
           process->threads_alive > 0 && process != process_init;
}

/* The best of a process's children. */
struct choice {
    struct process *process;
    uint64_t points, sum; /* its own; of all children */
};

/* Among equals it is the one that began later. */
static bool is_more(uint64_t points, const struct process *one, uint64_t than, const struct process *other)
{
    return points > than || (points == than && one->start_ticks > other->start_ticks);
}

static void consider_locked(struct choice *choice, struct process *one, uint64_t total) REQUIRES(proc_tree_lock)
{
    uint64_t points = can_be_victim_locked(one) ? oom_points(all_pages_locked(one), one->oom_adjust, total) : 0;

    if (points == 0)
        return;
    choice->sum += points;
    if (is_more(points, one, choice->points, choice->process)) {
        choice->process = one;
        choice->points = points;
    }
}

/* One that ends anyway comes before all others. Then from the largest family: everybody is in one of the families here,
 * those of brothers and sisters. NULL: nobody. */
static struct process *choose_locked(uint64_t total) REQUIRES(proc_tree_lock)
{
    struct choice most = { 0 };

    for (struct process *one = &process_kernel; one != NULL; one = process_next_locked(one)) {
        struct choice family = { 0 };

        if (can_be_victim_locked(one) && is_ending_locked(one))
            return one;
        list_for_each(node, &one->children)
            consider_locked(&family, list_entry(node, struct process, sibling), total);
        if (family.process != NULL && is_more(family.sum, family.process, most.sum, most.process))
            most = family;
    }
    return most.process;
}

/* All that are on its space. */
static void end_space_locked(const struct space *space) REQUIRES(proc_tree_lock)
{
    for (struct process *one = process_next_locked(&process_kernel); one != NULL; one = process_next_locked(one)) {
        if (one->state != PROCESS_ALIVE || one->space != space || one->is_oom_victim || one->threads_alive == 0)
            continue;
        one->is_oom_victim = true;
        oom.victims++;
        process_end(one, WAIT_STATUS_SIGNALED(SIGKILL));
    }
}

/* 0: there is a victim to wait for, or memory has come back since `seen`, which is how much of it there was then. */
static int find_victim(struct process *self, uint64_t *seen)
{
    uint64_t total = all_pages(), pages = 0, returned;
    char name[TASK_NAME_BYTES];
    pid_t pid = 0;

    spin_lock(&proc_tree_lock);
    returned = load_relaxed(&oom.returned);
    bool may_choose = oom.victims == 0 && returned == *seen && !is_ending_locked(self);
    struct process *victim = may_choose ? choose_locked(total) : NULL;

    if (victim != NULL) {
        if (!is_ending_locked(victim)) {
            pid = victim->pid;
            pages = all_pages_locked(victim);
            (void)str_copy(name, victim->name, sizeof name);
        }
        end_space_locked(victim->space);
    }
    int result = is_ending_locked(self) ? -EINTR : oom.victims == 0 && returned == *seen ? -ENOMEM : 0;

    spin_unlock(&proc_tree_lock);
    if (pid != 0)
        log_error("out of memory: killed %s[%d], which had %llu KiB", name, pid,
                  (unsigned long long)pages * PAGE_BYTES / 1024);
    return result;
}

int oom_relieve(uint64_t deadline_ns)
{
    uint64_t *seen = &thread_current()->user.oom_seen;
    int result = find_victim(process_current(), seen);

    if (result != 0)
        return result;
    /* PAIRS(oom_returned): what the victim had is free for whoever sees the count. */
    result = waitq_wait_until(&oom.wait, load_acquire(&oom.returned) != *seen, deadline_ns, WAIT_KILLABLE);
    *seen = load_acquire(&oom.returned); /* PAIRS(oom_returned): the next try comes behind that */
    return result;
}

void oom_memory_returned(struct process *process)
{
    spin_lock(&proc_tree_lock);
    bool was_victim = process->is_oom_victim;

    if (was_victim) {
        process->is_oom_victim = false;
        oom.victims--;
        store_release(&oom.returned, load_relaxed(&oom.returned) + 1); /* PAIRS(oom_returned) */
    }
    spin_unlock(&proc_tree_lock);
    if (was_victim)
        (void)waitq_wake_all(&oom.wait);
}

int oom_fault_current(vaddr_t va, unsigned access)
{
    int error = space_fault_current(va, access);

    if (error != -ENOMEM || !process_current()->has_user)
        return error;
    uint64_t deadline_ns = current_task()->mutexes_held != 0 ? clock_ns() + PATIENCE_NS : TIME_NEVER;

    while (error == -ENOMEM && oom_relieve(deadline_ns) == 0)
        error = space_fault_current(va, access);
    return error;
}

/* A parent may hear of an end before the memory is back, which also waits for a grace period. */
static NOINLINE bool is_short_after_ends(void)
{
    for (unsigned tries = 0; tries < ENDS_TRIES; tries++) {
        bool is_any = object_dying_count() != 0;

        reaper_wait_pass();
        slab_reclaim_all();
        if (!phys_is_short())
            return false;
        if (!is_any)
            break;
        (void)task_sleep_for(ENDS_PATIENCE_NS); /* whoever is about to end may be less urgent */
    }
    return true;
}

bool oom_is_short(void)
{
    return UNLIKELY(phys_is_short()) && is_short_after_ends();
}

int oom_adjust_get(struct process *process)
{
    spin_lock(&proc_tree_lock);
    int adjust = process->oom_adjust;

    spin_unlock(&proc_tree_lock);
    return adjust;
}

int oom_adjust_set(struct process *process, int adjust, bool has_right)
{
    int result = 0;

    if (adjust < OOM_ADJUST_NEVER || adjust > OOM_ADJUST_MAX)
        return -EINVAL;
    spin_lock(&proc_tree_lock);
    if (adjust < process->oom_adjust_least && !has_right)
        result = -EACCES;
    if (result == 0 && has_right)
        process->oom_adjust_least = (int16_t)adjust;
    if (result == 0)
        process->oom_adjust = (int16_t)adjust;
    spin_unlock(&proc_tree_lock);
    return result;
}

unsigned oom_score_get(struct process *process)
{
    uint64_t total = all_pages(), score = 0;

    spin_lock(&proc_tree_lock);
    if (process->space != NULL && process != process_init)
        score = oom_points(all_pages_locked(process), process->oom_adjust, total) * OOM_ADJUST_MAX / total;
    spin_unlock(&proc_tree_lock);
    return (unsigned)MIN(score, (uint64_t)(2 * OOM_ADJUST_MAX));
}
