/* SPDX-License-Identifier: MIT */
/*
 * The reader of workloads: one line at a time, its first word says what it is. It believes nothing about its bytes and
 * ends at the first mistake. Owns no state but the caller's, no lock; makes no allocation.
 */
#include "workload.h"

#include <k/errno.h>
#include <lib/fmt.h>
#include <lib/string.h>

#define WORDS_MAX 12u
#define NUMBER_MAX UINT64_C(1000000000000)

struct word {
    const char *at;
    size_t bytes;
};

struct reader {
    const char *at, *end; /* what is left */
    const char *line_start;
    unsigned line;
    unsigned words;
    struct word word[WORDS_MAX];
    struct workload *out;
    struct workload_group *group; /* that the lines are about, or NULL */
    struct workload_error *error;
};

static bool fail_at(struct reader *reader, const char *at, const char *what, const struct word *shown)
{
    struct workload_error *error = reader->error;
    char text[24] = "";

    if (shown != NULL)
        (void)fmt_print(text, sizeof text, ": '%.*s'", (int)MIN(shown->bytes, (size_t)16), shown->at);
    error->line = reader->line;
    error->column = (unsigned)(at - reader->line_start) + 1;
    (void)fmt_print(error->text, sizeof error->text, "%s%s", what, text);
    return false;
}

static bool fail(struct reader *reader, unsigned word, const char *what)
{
    if (word < reader->words)
        return fail_at(reader, reader->word[word].at, what, &reader->word[word]);
    const struct word *last = &reader->word[reader->words - 1];

    return fail_at(reader, last->at + last->bytes, what, NULL);
}

/* ---- Words ---- */

static bool is_word(const struct word *word, const char *text)
{
    return word->bytes == strlen(text) && memcmp(word->at, text, word->bytes) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The next line's words. False: a mistake, or the end (no error line). */
static bool line_split(struct reader *reader)
{
    bool is_comment = false;

    reader->line++;
    reader->line_start = reader->at;
    reader->words = 0;
    for (; reader->at < reader->end && *reader->at != '\n'; reader->at++) {
        char c = *reader->at;
        bool starts = reader->at == reader->line_start || reader->at[-1] == ' ' || reader->at[-1] == '\t';

        if (c == '\r' && (reader->at + 1 == reader->end || reader->at[1] == '\n'))
            continue;
        if (c != '\t' && (c < ' ' || c > '~') && !is_comment)
            return fail_at(reader, reader->at, "a byte that is no printable ASCII", NULL);
        is_comment = is_comment || c == '#';
        if (is_comment || c == ' ' || c == '\t')
            continue;
        if (starts && reader->words == WORDS_MAX)
            return fail_at(reader, reader->at, "too many words in a line", NULL);
        if (starts)
            reader->word[reader->words++] = (struct word){ reader->at, 0 };
        reader->word[reader->words - 1].bytes++;
    }
    reader->at += reader->at < reader->end;
    return true;
}

/* A whole number at the head of [at, at + bytes); how many digits, 0 if there is none or it is too large. */
static size_t take_number(const char *at, size_t bytes, uint64_t *out)
{
    size_t used = 0;

    *out = 0;
    for (; used < bytes && is_digit(at[used]); used++) {
        *out = *out * 10 + (uint64_t)(at[used] - '0');
        if (*out > NUMBER_MAX * 10)
            return 0;
    }
    return used;
}

int workload_parse_time(const char *text, size_t bytes, uint64_t *out_ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = { { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 } };
    uint64_t number;
    size_t digits = take_number(text, bytes, &number);
    const struct word unit = { text + digits, bytes - digits };

    for (unsigned i = 0; digits > 0 && i < ARRAY_COUNT(units); i++) {
        if (!is_word(&unit, units[i].name) || number > WORKLOAD_NS_MAX / units[i].ns)
            continue;
        *out_ns = number * units[i].ns;
        return 0;
    }
    return -EINVAL;
}

static bool number_of(struct reader *reader, unsigned word, uint64_t min, uint64_t max, uint64_t *out)
{
    const struct word *at = &reader->word[word];

    if (word >= reader->words)
        return fail(reader, word, "a number is missing");
    if (take_number(at->at, at->bytes, out) != at->bytes || *out < min || *out > max)
        return fail(reader, word, "no number, or out of range");
    return true;
}

static bool duration_of(struct reader *reader, unsigned word, uint64_t *out_ns)
{
    if (word >= reader->words)
        return fail(reader, word, "a time is missing");
    if (workload_parse_time(reader->word[word].at, reader->word[word].bytes, out_ns) != 0)
        return fail(reader, word, "no time such as 20ms, 0 to 3600s");
    return true;
}

static bool length_of(struct reader *reader, unsigned word, uint64_t *out_ns)
{
    if (!duration_of(reader, word, out_ns))
        return false;
    return *out_ns > 0 || fail(reader, word, "must be longer than 0");
}

/* From `word` on, and nothing behind it. */
static bool time_of(struct reader *reader, unsigned word, struct workload_time *out)
{
    unsigned used = 1;

    *out = (struct workload_time){ .spread = WORKLOAD_CONSTANT };
    if (word < reader->words && is_word(&reader->word[word], "exponential")) {
        out->spread = WORKLOAD_EXPONENTIAL;
        word++;
    } else if (word < reader->words && is_word(&reader->word[word], "uniform")) {
        out->spread = WORKLOAD_UNIFORM;
        word++;
        if (!length_of(reader, word + 1, &out->ns_max))
            return false;
        used = 2;
    }
    if (!length_of(reader, word, &out->ns))
        return false;
    if (out->spread == WORKLOAD_UNIFORM && out->ns_max < out->ns)
        return fail(reader, word + 1, "less than the least");
    return word + used == reader->words || fail(reader, word + used, "nothing may follow here");
}

static bool name_of(struct reader *reader, unsigned word, char *out)
{
    const struct word *at = &reader->word[word];

    if (word >= reader->words)
        return fail(reader, word, "a name is missing");
    if (at->bytes >= WORKLOAD_NAME_BYTES)
        return fail(reader, word, "a name of more than 8 characters");
    for (size_t i = 0; i < at->bytes; i++) {
        char c = at->at[i];

        if (!((c >= 'a' && c <= 'z') || is_digit(c) || (c == '-' && i > 0)))
            return fail(reader, word, "names are of a-z, 0-9 and -");
        out[i] = c;
    }
    out[at->bytes] = '\0';
    return true;
}

static bool ends_at(struct reader *reader, unsigned words)
{
    return reader->words == words ||
           fail(reader, words, reader->words > words ? "nothing may follow here" : "too short");
}

/* Events and mutexes are there once they are named. */
static bool object_of(struct reader *reader, unsigned word, char names[][WORKLOAD_NAME_BYTES], uint16_t *count,
                      unsigned max, uint16_t *out)
{
    char name[WORKLOAD_NAME_BYTES];

    if (!name_of(reader, word, name))
        return false;
    for (*out = 0; *out < *count; (*out)++)
        if (strcmp(names[*out], name) == 0)
            return true;
    if (*count == max)
        return fail(reader, word, "too many names");
    memcpy(names[(*count)++], name, sizeof name);
    return true;
}

/* A group that has its line already. */
static bool group_of(struct reader *reader, unsigned word, uint16_t *out)
{
    char name[WORKLOAD_NAME_BYTES];

    if (!name_of(reader, word, name))
        return false;
    for (*out = 0; *out < reader->out->groups; (*out)++)
        if (strcmp(reader->out->group[*out].name, name) == 0)
            break;
    if (*out == reader->out->groups)
        return fail(reader, word, "no group above has this name");
    if (&reader->out->group[*out] == reader->group)
        return fail(reader, word, "a group cannot wait for itself");
    return reader->out->group[*out].repeat > 0 || fail(reader, word, "a group without 'repeat' never ends");
}

/* ---- Lines of the file ---- */

static bool line_duration(struct reader *reader)
{
    return length_of(reader, 1, &reader->out->duration_ns) && ends_at(reader, 2);
}

static bool line_cpus(struct reader *reader)
{
    uint64_t cpus;

    if (!number_of(reader, 1, 1, CPU_MAX, &cpus))
        return false;
    reader->out->cpus = (uint32_t)cpus;
    return ends_at(reader, 2);
}

/* What can be said of a group only when all of its lines are read. */
static bool group_finish(struct reader *reader)
{
    const struct workload_group *group = reader->group;

    if (group == NULL)
        return true;
    for (unsigned i = 0; i < group->actions; i++) {
        enum workload_kind kind = reader->out->action[group->first + i].kind;

        if (kind == WORKLOAD_RUN || kind == WORKLOAD_SLEEP || kind == WORKLOAD_WAIT || kind == WORKLOAD_HOLD ||
            kind == WORKLOAD_STOP)
            return true;
    }
    return fail_at(reader, reader->line_start, "the group before needs a run, sleep, wait, hold or stop", NULL);
}

static bool line_group(struct reader *reader)
{
    struct workload *out = reader->out;
    uint64_t count = 1;
    char name[WORKLOAD_NAME_BYTES];

    if (!group_finish(reader) || !name_of(reader, 1, name))
        return false;
    if (reader->words > 2) {
        if (!is_word(&reader->word[2], "count"))
            return fail(reader, 2, "only 'count N' may follow");
        if (!number_of(reader, 3, 1, WORKLOAD_TASKS_MAX, &count) || !ends_at(reader, 4))
            return false;
    }
    for (unsigned i = 0; i < out->groups; i++)
        if (strcmp(out->group[i].name, name) == 0)
            return fail(reader, 1, "another group has this name");
    if (out->groups == WORKLOAD_GROUPS_MAX)
        return fail(reader, 0, "too many groups");
    if (out->tasks + count > WORKLOAD_TASKS_MAX)
        return fail(reader, 3, "too many tasks in all");
    reader->group = &out->group[out->groups++];
    *reader->group = (struct workload_group){ .count = (uint32_t)count, .after = WORKLOAD_NONE, .first = out->actions };
    memcpy(reader->group->name, name, sizeof name);
    out->tasks += (uint32_t)count;
    return true;
}

/* ---- Lines of a group ---- */

/* "nice" takes a sign. */
static bool nice_of(struct reader *reader, unsigned word, int8_t *out)
{
    bool is_negative = word < reader->words && reader->word[word].at[0] == '-';
    struct word whole = word < reader->words ? reader->word[word] : (struct word){ NULL, 0 };
    uint64_t number;
    bool ok;

    if (is_negative) {
        reader->word[word].at++;
        reader->word[word].bytes--;
    }
    ok = word < reader->words && reader->word[word].bytes > 0 &&
         take_number(reader->word[word].at, reader->word[word].bytes, &number) == reader->word[word].bytes &&
         number <= (is_negative ? -NICE_MIN : NICE_MAX);
    if (word < reader->words)
        reader->word[word] = whole;
    if (!ok)
        return fail(reader, word, "nice is -20 to 19");
    *out = (int8_t)(is_negative ? -(int)number : (int)number);
    return true;
}

static bool slice_of(struct reader *reader, unsigned word, uint64_t *out)
{
    if (!duration_of(reader, word, out))
        return false;
    return (*out >= SCHED_SLICE_NS_MIN && *out <= SCHED_SLICE_NS_MAX) ||
           fail(reader, word, "a slice is 100us to 100ms");
}

static bool policy_deadline(struct reader *reader, struct workload_group *group)
{
    static const char *const names[] = { "runtime", "deadline", "period" };
    uint64_t *const values[] = { &group->dl_runtime_ns, &group->dl_deadline_ns, &group->dl_period_ns };

    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        unsigned word = 2 + 2 * i;

        if (word >= reader->words || !is_word(&reader->word[word], names[i]))
            return fail(reader, word, "expected: policy deadline runtime T deadline T period T");
        if (!length_of(reader, word + 1, values[i]))
            return false;
    }
    if (group->dl_runtime_ns > group->dl_deadline_ns)
        return fail(reader, 5, "a deadline shorter than the runtime");
    if (group->dl_deadline_ns > group->dl_period_ns)
        return fail(reader, 7, "a period shorter than the deadline");
    return ends_at(reader, 8);
}

static bool policy_rt(struct reader *reader, struct workload_group *group)
{
    uint64_t priority;

    if (!number_of(reader, 2, 1, WORKLOAD_RT_MAX, &priority))
        return false;
    group->priority = (uint8_t)priority;
    if (reader->words == 3)
        return true;
    if (group->policy != WORKLOAD_RR || !is_word(&reader->word[3], "slice"))
        return fail(reader, 3, "nothing may follow here");
    return slice_of(reader, 4, &group->slice_ns) && ends_at(reader, 5);
}

static bool policy_fair(struct reader *reader, struct workload_group *group)
{
    for (unsigned word = 2; word < reader->words; word += 2) {
        if (is_word(&reader->word[word], "nice")) {
            if (!nice_of(reader, word + 1, &group->nice))
                return false;
        } else if (is_word(&reader->word[word], "slice")) {
            if (!slice_of(reader, word + 1, &group->slice_ns))
                return false;
        } else {
            return fail(reader, word, "expected: nice N, slice T");
        }
    }
    return true;
}

/* A class that this file says no more of: the kernel refuses what it does not take. */
static bool other_of(struct reader *reader, struct workload_group *group)
{
#define OTHER_ENTRY(id, name) { #name, SCHED_POLICY_##id },
    static const struct {
        const char *name;
        enum sched_policy policy;
    } others[] = { SCHED_CLASSES(SCHED_LIST_NOTHING, OTHER_ENTRY) };
#undef OTHER_ENTRY

    for (unsigned i = 0; i < ARRAY_COUNT(others); i++)
        if (reader->words > 1 && is_word(&reader->word[1], others[i].name)) {
            group->policy = WORKLOAD_OTHER;
            group->other = others[i].policy;
            return true;
        }
    return fail(reader, 1, "policies are fair, fifo, rr, idle, deadline, and the names of this kernel's other classes");
}

static bool line_policy(struct reader *reader)
{
    static const char *const names[] = {
        [WORKLOAD_FAIR] = "fair", [WORKLOAD_FIFO] = "fifo", [WORKLOAD_RR] = "rr", [WORKLOAD_IDLE] = "idle",
        [WORKLOAD_DEADLINE] = "deadline",
    };
    struct workload_group *group = reader->group;
    unsigned which = 0;

    while (reader->words > 1 && which < ARRAY_COUNT(names) && !is_word(&reader->word[1], names[which]))
        which++;
    if (reader->words > 1 && which < ARRAY_COUNT(names))
        group->policy = (enum workload_policy)which;
    else if (!other_of(reader, group))
        return false;
    switch (group->policy) {
    case WORKLOAD_FAIR:
    case WORKLOAD_OTHER:
        return policy_fair(reader, group);
    case WORKLOAD_FIFO:
    case WORKLOAD_RR:
        return policy_rt(reader, group);
    case WORKLOAD_DEADLINE:
        return policy_deadline(reader, group);
    case WORKLOAD_IDLE:
        break;
    }
    return ends_at(reader, 2);
}

/* "0-3,8": in one word. */
static bool line_affinity(struct reader *reader)
{
    struct workload_group *group = reader->group;

    if (reader->words != 2)
        return ends_at(reader, 2);
    const struct word *list = &reader->word[1];

    for (size_t at = 0;;) {
        uint64_t first, last;
        size_t used = take_number(list->at + at, list->bytes - at, &first);

        last = first;
        at += used;
        if (used > 0 && at < list->bytes && list->at[at] == '-') {
            used = take_number(list->at + at + 1, list->bytes - at - 1, &last);
            at += 1 + used;
        }
        if (used == 0 || first > last || last >= CPU_MAX)
            return fail(reader, 1, "no list of CPUs such as 0-3,8");
        for (uint64_t cpu = first; cpu <= last; cpu++)
            cpumask_add(&group->affinity, (cpu_id_t)cpu);
        if (at == list->bytes)
            break;
        if (list->at[at++] != ',')
            return fail(reader, 1, "no list of CPUs such as 0-3,8");
    }
    group->has_affinity = true;
    return true;
}

static bool line_arrive(struct reader *reader)
{
    if (!duration_of(reader, 1, &reader->group->arrive_ns))
        return false;
    if (reader->words == 2)
        return true;
    if (!is_word(&reader->word[2], "every"))
        return fail(reader, 2, "only 'every T' may follow");
    return length_of(reader, 3, &reader->group->stagger_ns) && ends_at(reader, 4);
}

static bool line_after(struct reader *reader)
{
    return group_of(reader, 1, &reader->group->after) && ends_at(reader, 2);
}

static bool line_every(struct reader *reader)
{
    struct workload_group *group = reader->group;

    if (!length_of(reader, 1, &group->every_ns))
        return false;
    group->deadline_ns = group->every_ns;
    if (reader->words == 2)
        return true;
    if (!is_word(&reader->word[2], "deadline"))
        return fail(reader, 2, "only 'deadline T' may follow");
    return length_of(reader, 3, &group->deadline_ns) && ends_at(reader, 4);
}

static bool line_repeat(struct reader *reader)
{
    uint64_t count;

    if (!number_of(reader, 1, 1, UINT32_MAX, &count))
        return false;
    reader->group->repeat = (uint32_t)count;
    return ends_at(reader, 2);
}

static struct workload_action *action_add(struct reader *reader, enum workload_kind kind)
{
    struct workload *out = reader->out;

    if (out->actions == WORKLOAD_ACTIONS_MAX) {
        (void)fail(reader, 0, "too many actions in all");
        return NULL;
    }
    struct workload_action *action = &out->action[out->actions++];

    *action = (struct workload_action){ .kind = kind, .count = 1 };
    reader->group->actions++;
    return action;
}

static bool line_run(struct reader *reader)
{
    struct workload_action *action = action_add(reader, WORKLOAD_RUN);

    return action != NULL && time_of(reader, 1, &action->time);
}

static bool line_sleep(struct reader *reader)
{
    struct workload_action *action = action_add(reader, WORKLOAD_SLEEP);

    return action != NULL && time_of(reader, 1, &action->time);
}

static bool event_of(struct reader *reader, struct workload_action *action)
{
    return action != NULL &&
           object_of(reader, 1, reader->out->event, &reader->out->events, WORKLOAD_EVENTS_MAX, &action->object);
}

static bool line_signal(struct reader *reader)
{
    struct workload_action *action = action_add(reader, WORKLOAD_SIGNAL);
    uint64_t count;

    if (!event_of(reader, action))
        return false;
    if (reader->words == 2)
        return true;
    if (!number_of(reader, 2, 1, WORKLOAD_TASKS_MAX, &count))
        return false;
    action->count = (uint32_t)count;
    return ends_at(reader, 3);
}

static bool line_broadcast(struct reader *reader)
{
    return event_of(reader, action_add(reader, WORKLOAD_BROADCAST)) && ends_at(reader, 2);
}

static bool line_wait(struct reader *reader)
{
    return event_of(reader, action_add(reader, WORKLOAD_WAIT)) && ends_at(reader, 2);
}

static bool line_hold(struct reader *reader)
{
    struct workload_action *action = action_add(reader, WORKLOAD_HOLD);

    return action != NULL &&
           object_of(reader, 1, reader->out->mutex, &reader->out->mutexes, WORKLOAD_MUTEXES_MAX, &action->object) &&
           time_of(reader, 2, &action->time);
}

static bool line_join(struct reader *reader)
{
    struct workload_action *action = action_add(reader, WORKLOAD_JOIN);

    return action != NULL && group_of(reader, 1, &action->object) && ends_at(reader, 2);
}

static bool line_yield(struct reader *reader)
{
    return action_add(reader, WORKLOAD_YIELD) != NULL && ends_at(reader, 1);
}

static bool cpu_of(struct reader *reader, struct workload_action *action)
{
    uint64_t cpu;

    if (action == NULL || !number_of(reader, 1, 0, CPU_MAX - 1, &cpu))
        return false;
    action->object = (uint16_t)cpu;
    return true;
}

static bool line_move(struct reader *reader)
{
    return cpu_of(reader, action_add(reader, WORKLOAD_MOVE)) && ends_at(reader, 2);
}

static bool line_stop(struct reader *reader)
{
    struct workload_action *action = action_add(reader, WORKLOAD_STOP);

    return cpu_of(reader, action) && time_of(reader, 2, &action->time);
}

static bool line_read(struct reader *reader)
{
    static const struct {
        const char *word;
        bool is_of_group;
        bool (*read)(struct reader *reader);
    } lines[] = {
        { "duration", false, line_duration }, { "cpus", false, line_cpus },       { "group", false, line_group },
        { "policy", true, line_policy },      { "affinity", true, line_affinity }, { "arrive", true, line_arrive },
        { "after", true, line_after },        { "every", true, line_every },      { "repeat", true, line_repeat },
        { "run", true, line_run },            { "sleep", true, line_sleep },      { "signal", true, line_signal },
        { "broadcast", true, line_broadcast }, { "wait", true, line_wait },       { "hold", true, line_hold },
        { "join", true, line_join },          { "yield", true, line_yield },      { "move", true, line_move },
        { "stop", true, line_stop },
    };

    for (unsigned i = 0; i < ARRAY_COUNT(lines); i++) {
        if (!is_word(&reader->word[0], lines[i].word))
            continue;
        if (lines[i].is_of_group && reader->group == NULL)
            return fail(reader, 0, "stands before the first 'group'");
        return lines[i].read(reader);
    }
    return fail(reader, 0, "no such word");
}

int workload_parse(const char *text, size_t bytes, struct workload *out, struct workload_error *error)
{
    struct reader reader = { .at = text, .end = text + bytes, .line_start = text, .out = out, .error = error };

    memset(out, 0, sizeof *out);
    memset(error, 0, sizeof *error);
    out->duration_ns = WORKLOAD_DURATION_NS;
    if (bytes > WORKLOAD_BYTES_MAX)
        return fail_at(&reader, text, "more than 64 KiB", NULL) ? 0 : -EINVAL;
    while (reader.at < reader.end)
        if (!line_split(&reader) || (reader.words > 0 && !line_read(&reader)))
            return -EINVAL;
    reader.line_start = reader.at;
    reader.line++;
    if (!group_finish(&reader))
        return -EINVAL;
    if (out->groups == 0)
        return fail_at(&reader, reader.at, "no group of tasks", NULL) ? 0 : -EINVAL;
    return 0;
}
