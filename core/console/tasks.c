/* SPDX-License-Identifier: MIT */
/*
 * ps and top. Tasks are visited in the order of their ids, one reference at a time, so none is held up and nothing is
 * allocated for them; each line is one moment of one task.
 */
#include <k/errno.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <proc/id.h>
#include <sched/sched.h>
#include <time/clock.h>

#include "console_priv.h"

#define TOP_TASKS_MAX 256 /* tasks compared; more are counted, and named as left out */
#define TOP_CPUS_MAX 64
#define TOP_LINES_MAX 40
#define TOP_MS_DEFAULT 1000
#define TOP_LINES_DEFAULT 15

static const char *policy_name(enum sched_policy policy)
{
#define POLICY_NAME(id, name) [SCHED_POLICY_##id] = #name,
    static const char *const names[] = {
        [SCHED_POLICY_FIFO] = "fifo",
        [SCHED_POLICY_RR] = "rr",
        SCHED_CLASSES(SCHED_LIST_NOTHING, POLICY_NAME)
    };
#undef POLICY_NAME

    return (unsigned)policy < ARRAY_COUNT(names) ? names[policy] : "?";
}

/* Of a blocked task: the address of the wait queue. Kernel objects have no names, but the same one has the same
 * number. */
static void format_wait(const struct task_snapshot *snapshot, char *to, size_t room)
{
    to[0] = '\0';
    if (snapshot->state == TASK_SLEEPING)
        (void)str_copy(to, "a time", room);
    else if (snapshot->waits_on != NULL)
        (void)fmt_print(to, room, "queue %p", snapshot->waits_on);
}

/* The next one of a walk over all tasks, which gives up its reference to `task`. */
static struct task *next_task(struct task *task)
{
    tid_t next = task->tid + 1;

    task_put(task);
    return task_lookup_next(next);
}

static void print_task(struct task *task)
{
    struct task_snapshot now;
    char cpus[14];
    char wait[32];
    char percent[8];
    unsigned permille;

    task_get_snapshot(task, &now);
    permille = util_permille(now.utilisation);
    console_format_cpus(&now.affinity, cpus, sizeof cpus);
    format_wait(&now, wait, sizeof wait);
    (void)fmt_print(percent, sizeof percent, "%u.%u", permille / 10, permille % 10);
    console_print("%5d %5d %-8s %-8s %-6s %4d %4u %-13s %8llu %8llu %9llu %8llu %6llu %8llu %5s %-15s %s\n", task->tid,
                  task->pid, task_state_name(now.state), now.class_name, policy_name(now.policy), now.priority, now.cpu,
                  cpus, console_ms(now.stats.run_ticks), console_ms(now.stats.wait_ticks), console_ms(now.sleep_ticks),
                  (unsigned long long)(now.stats.voluntary + now.stats.involuntary),
                  (unsigned long long)now.stats.migrations, console_us(now.stats.wake_to_run_ticks_max), percent,
                  task->name, wait);
}

int command_ps(const struct console_words *words)
{
    unsigned count = 0;

    if (words->count != 1)
        return -EINVAL;
    console_print("%5s %5s %-8s %-8s %-6s %4s %4s %-13s %8s %8s %9s %8s %6s %8s %5s %-15s %s\n", "TID", "PID", "STATE",
                  "CLASS", "POLICY", "PRIO", "CPU", "AFFINITY", "RUN-ms", "WAIT-ms", "SLEEP-ms", "SWITCHES", "MIGR",
                  "WORST-us", "UTIL%", "NAME", "WAITS-ON");
    for (struct task *task = task_lookup_next(1); task != NULL; task = next_task(task), count++)
        print_task(task);
    console_print("%u tasks, and an idle task for each CPU\n", count);
    return 0;
}

struct top_task {
    tid_t tid;
    uint64_t start_ticks; /* with the tid, who it is: ids are used again */
    uint64_t run_ticks;
};

struct top_line {
    struct top_task task;
    char name[TASK_NAME_BYTES];
    cpu_id_t cpu;
    uint64_t used_ticks;
};

/* Two looks at the machine, and what lies between. */
struct top {
    uint64_t at_ticks;
    uint64_t passed_ticks;
    struct top_task before[TOP_TASKS_MAX]; /* in the order of ids */
    unsigned before_count;
    unsigned left_out; /* tasks for which there was no room */
    uint64_t idle_before[TOP_CPUS_MAX];
    struct top_line line[TOP_LINES_MAX]; /* the busiest first */
    unsigned line_count, line_max;
};

static uint64_t idle_ticks(cpu_id_t id)
{
    struct sched_cpu_stats stats;

    sched_cpu_stats_get(id, &stats);
    return stats.idle_ticks;
}

/* Where `now` was at the last look: the same task, or none. */
static const struct top_task *find_before(const struct top *top, const struct top_task *now)
{
    for (unsigned low = 0, high = top->before_count; low < high;) {
        unsigned middle = low + (high - low) / 2;

        if (top->before[middle].tid == now->tid)
            return top->before[middle].start_ticks == now->start_ticks ? &top->before[middle] : NULL;
        if (top->before[middle].tid < now->tid)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static void keep_line(struct top *top, const struct top_line *fresh)
{
    unsigned at = top->line_count;

    while (at > 0 && top->line[at - 1].used_ticks < fresh->used_ticks)
        at--;
    if (at == top->line_max)
        return;
    top->line_count = MIN(top->line_count + 1, top->line_max);
    (void)memmove(&top->line[at + 1], &top->line[at], (top->line_count - 1 - at) * sizeof top->line[0]);
    top->line[at] = *fresh;
}

/* Look at all tasks: into `before`; and, if it is the second look, who ran since. */
static void look_at_tasks(struct top *top, struct top_task *fresh, bool is_second)
{
    unsigned count = 0;

    top->left_out = 0;
    top->line_count = 0;
    for (struct task *task = task_lookup_next(1); task != NULL; task = next_task(task)) {
        struct task_snapshot now;

        task_get_snapshot(task, &now);
        struct top_line line = { .task = { task->tid, now.start_ticks, now.stats.run_ticks }, .cpu = now.cpu };
        const struct top_task *before = is_second ? find_before(top, &line.task) : NULL;

        (void)str_copy(line.name, task->name, sizeof line.name);
        line.used_ticks = line.task.run_ticks - (before != NULL ? before->run_ticks : 0);
        if (is_second && (before != NULL || now.start_ticks >= top->at_ticks))
            keep_line(top, &line);
        if (count < TOP_TASKS_MAX)
            fresh[count++] = line.task;
        else
            top->left_out++;
    }
    (void)memcpy(top->before, fresh, count * sizeof fresh[0]);
    top->before_count = count;
}

static void format_share(uint64_t part, uint64_t whole, char *to, size_t room)
{
    for (; whole >> 53 != 0; whole >>= 1)
        part >>= 1;
    unsigned permille = whole != 0 ? (unsigned)(MIN(part, whole) * 1000 / whole) : 0;

    (void)fmt_print(to, room, "%u.%u", permille / 10, permille % 10);
}

static void look_at_cpus(struct top *top, bool is_second)
{
    unsigned shown = 0;

    for_each_started_cpu(id) { /* the same ones at each look */
        if (shown == TOP_CPUS_MAX)
            break;
        uint64_t idle = idle_ticks(id);
        uint64_t passed = top->passed_ticks;
        char percent[8];

        format_share(passed - MIN(idle - top->idle_before[shown], passed), passed, percent, sizeof percent - 1);
        (void)str_copy(percent + strlen(percent), "%", 2);
        if (is_second)
            console_print("%sCPU%u %s%s", shown % 8 == 0 ? "" : "  ", id, cpu_is_online(id) ? percent : "off",
                          shown % 8 == 7 ? "\n" : "");
        top->idle_before[shown++] = idle;
    }
    if (is_second)
        console_print("%s", shown % 8 != 0 ? "\n" : "");
    if (is_second && load_relaxed(&cpu_started_count) > TOP_CPUS_MAX)
        console_print("(the other CPUs are not shown)\n");
}

static void show(const struct top *top)
{
    console_print("%5s %4s %6s %9s %s\n", "TID", "CPU", "USED%", "RUN-ms", "NAME");
    for (unsigned i = 0; i < top->line_count; i++) {
        const struct top_line *line = &top->line[i];
        char percent[8];

        format_share(line->used_ticks, top->passed_ticks, percent, sizeof percent);
        console_print("%5d %4u %6s %9llu %s\n", line->task.tid, line->cpu, percent, console_ms(line->task.run_ticks),
                      line->name);
    }
    if (top->left_out != 0)
        console_print("(%u tasks are not compared: room for %u)\n", top->left_out, TOP_TASKS_MAX);
}

static void look(struct top *top, struct top_task *fresh, bool is_second)
{
    uint64_t now = hal_clock_ticks();

    top->passed_ticks = now - top->at_ticks;
    look_at_cpus(top, is_second);
    look_at_tasks(top, fresh, is_second);
    if (is_second)
        show(top);
    top->at_ticks = now;
}

int command_top(const struct console_words *words)
{
    uint64_t milliseconds = TOP_MS_DEFAULT;
    uint64_t lines = TOP_LINES_DEFAULT;
    uint64_t rounds = UINT64_MAX;

    if (words->count > 4)
        return -EINVAL;
    if ((words->count > 1 && !console_number(words->word[1], 10, 3600000, &milliseconds)) ||
        (words->count > 2 && !console_number(words->word[2], 1, TOP_LINES_MAX, &lines)) ||
        (words->count > 3 && !console_number(words->word[3], 1, 1000000, &rounds)))
        return 0;
    struct top *top = kmalloc(sizeof *top);
    struct top_task *fresh = kmalloc_array(TOP_TASKS_MAX, sizeof *fresh);

    if (top != NULL && fresh != NULL) {
        *top = (struct top){ .line_max = (unsigned)lines };
        look(top, fresh, false);
        while (rounds-- > 0 && console_wait_key(milliseconds * NS_PER_MS) < 0 && !task_is_killed())
            look(top, fresh, true);
    } else {
        console_print("out of memory\n");
    }
    kfree(fresh);
    kfree(top);
    return 0;
}
