/* SPDX-License-Identifier: MIT */
/*
 * The latency ledger's slow half: keep the worst few, each place once, and print them. A CPU writes its own ledger with
 * interrupts disabled; the lock is for those who read it from elsewhere. Owns the choice whether a panic prints it.
 */
#include <sched/latency.h>

#include <k/log.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <sched/task.h>
#include <time/clock.h>
#include <trace/backtrace.h>

static bool logs_in_panic RO_AFTER_INIT;

void latency_init(struct latency_ledger *ledger)
{
    spin_init(&ledger->lock, LOCK_LATENCY);
}

/* Where the new entry goes in: at the end, over the shortest; or over the same place, if that one is shorter. */
static unsigned choose_slot(const struct latency_entry *worst, uintptr_t end, uintptr_t inside)
{
    for (unsigned i = 0; i < LATENCY_WORST; i++)
        if (worst[i].ticks != 0 && worst[i].end == end && (worst[i].inside != 0) == (inside != 0))
            return i;
    return LATENCY_WORST - 1;
}

void latency_enter(struct cpu *cpu, enum latency_kind kind, uint64_t ticks, uintptr_t inside, uintptr_t end)
{
    struct latency_ledger *ledger = cpu->latency;
    struct latency_entry *worst = ledger->worst[kind];
    const struct latency_entry fresh = {
        .ticks = ticks,
        .at_ticks = hal_clock_ticks(),
        .inside = inside,
        .end = end,
        .tid = current_task() == cpu->idle_task ? 0 : current_task()->tid,
    };

    spin_lock_irqoff(&ledger->lock);
    unsigned slot = choose_slot(worst, end, inside);

    if (ticks > worst[slot].ticks) {
        for (; slot > 0 && worst[slot - 1].ticks < ticks; slot--)
            worst[slot] = worst[slot - 1];
        worst[slot] = fresh;
        ticks = worst[LATENCY_WORST - 1].ticks;
    }
    if (ticks > load_relaxed(&ledger->floor[kind]))
        store_relaxed(&ledger->floor[kind], ticks);
    spin_unlock_irqoff(&ledger->lock);
}

void latency_interrupted(struct cpu *cpu, uintptr_t pc)
{
    struct latency_ledger *ledger = cpu->latency;
    uint64_t ticks = ledger->late_ticks;

    if (ticks != 0) {
        ledger->late_ticks = 0;
        latency_enter(cpu, ledger->late_kind, ticks, 0, pc);
    }
    uint64_t asked = atomic_load_explicit(&cpu->resched_at_ticks, memory_order_relaxed);

    if (asked != ledger->asked_ticks) { /* the first interrupt since: the later ones say no more */
        ledger->asked_ticks = asked;
        ledger->inside = pc;
    }
}

void latency_acted_late(struct cpu *cpu, uint64_t ticks, uintptr_t end)
{
    struct latency_ledger *ledger = cpu->latency;
    uint64_t asked = atomic_load_explicit(&cpu->resched_at_ticks, memory_order_relaxed);

    if (asked == 0 || (int64_t)ticks <= 0) /* a clock that is behind the asking CPU's by a tick */
        return;
    latency_enter(cpu, LATENCY_PREEMPT, ticks, ledger->asked_ticks == asked ? ledger->inside : 0, end);
}

void latency_get(cpu_id_t id, enum latency_kind kind, struct latency_entry out[LATENCY_WORST])
{
    struct latency_ledger *ledger = cpu_table[id]->latency;
    uintptr_t state = spin_lock_irqsave(&ledger->lock);

    (void)memcpy(out, ledger->worst[kind], sizeof ledger->worst[kind]);
    spin_unlock_irqrestore(&ledger->lock, state);
}

void latency_reset(cpu_id_t id)
{
    struct latency_ledger *ledger = cpu_table[id]->latency;
    uintptr_t state = spin_lock_irqsave(&ledger->lock);

    (void)memset(ledger->worst, 0, sizeof ledger->worst);
    for (enum latency_kind kind = 0; kind < LATENCY_KIND_COUNT; kind++)
        store_relaxed(&ledger->floor[kind], 0);
    spin_unlock_irqrestore(&ledger->lock, state);
}

const char *latency_kind_name(enum latency_kind kind)
{
    static const char *const names[] = { "timer", "poke", "idle", "handler", "preempt" };

    return (unsigned)kind < ARRAY_COUNT(names) ? names[kind] : "?";
}

int latency_format(cpu_id_t cpu, enum latency_kind kind, const struct latency_entry *entry, char *to, size_t room)
{
    char end[80];
    char inside[80] = "";

    symbol_format(entry->end, end, sizeof end);
    if (entry->inside != 0)
        symbol_format(entry->inside, inside, sizeof inside);
    return fmt_print(to, room, "CPU %u %-7s %10llu ns, task %d, at %s%s%s%s", cpu, latency_kind_name(kind),
                     (unsigned long long)clock_ticks_to_ns(entry->ticks), entry->tid, end,
                     entry->inside != 0 ? " (inside " : "", inside, entry->inside != 0 ? ")" : "");
}

static void log_entries(cpu_id_t cpu, enum latency_kind kind, const struct latency_entry *worst)
{
    char line[224];

    for (unsigned i = 0; i < LATENCY_WORST && worst[i].ticks != 0; i++) {
        (void)latency_format(cpu, kind, &worst[i], line, sizeof line);
        log_info("latency: %s", line);
    }
}

void latency_log(void)
{
    for_each_online_cpu(id) {
        for (enum latency_kind kind = 0; kind < LATENCY_KIND_COUNT; kind++) {
            struct latency_entry worst[LATENCY_WORST];

            latency_get(id, kind, worst);
            log_entries(id, kind, worst);
        }
    }
}

void latency_log_in_panic(bool does)
{
    logs_in_panic = does;
}

bool latency_is_logged(void)
{
    return logs_in_panic;
}

void latency_log_cpu_unlocked(const struct cpu *cpu)
{
    if (!logs_in_panic || cpu->latency == NULL)
        return;
    for (enum latency_kind kind = 0; kind < LATENCY_KIND_COUNT; kind++)
        log_entries(cpu->id, kind, cpu->latency->worst[kind]);
}
