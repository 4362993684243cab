/* SPDX-License-Identifier: MIT */
/* The boot command line: one table of options, each with its parser. */
#include <boot/options.h>

#include <k/errno.h>
#include <k/limits.h>
#include <k/log.h>
#include <lib/string.h>
#include <parse/cmdline.h>
#include <proc/first.h>
#include <sched/sched.h>
#include <trace/backtrace.h>
#include <trace/log.h>

static int set_init(struct boot_options *options, const char *value)
{
    const char *colon = strchr(value, ':');
    size_t name_bytes = colon != NULL ? (size_t)(colon - value) : strlen(value);
    const char *argument = colon != NULL ? colon + 1 : "";

    if (value[0] == '/') {
        if (strlen(value) >= sizeof options->first)
            return -EINVAL;
        (void)str_copy(options->first, value, sizeof options->first);
        return 0;
    }
    /* All or nothing: an option that is refused changes nothing. */
    if (name_bytes == 0 || name_bytes >= sizeof options->init || strlen(argument) >= sizeof options->argument)
        return -EINVAL;
    (void)str_copy(options->init, value, name_bytes + 1);
    (void)str_copy(options->argument, argument, sizeof options->argument);
    options->has_init = true;
    options->first[0] = '\0';
    return 0;
}

static int set_cpus(struct boot_options *options, const char *value)
{
    uint64_t number = 0;

    if (parse_u64(value, &number) != 0 || number == 0 || number > CPU_MAX)
        return -EINVAL;
    options->cpus_max = (unsigned)number;
    return 0;
}

/* Fewer address-space ids than the machine has: they run out sooner. */
static int set_asids(struct boot_options *options, const char *value)
{
    uint64_t number = 0;

    if (parse_u64(value, &number) != 0 || number == 0 || number > ASIDS_MAX)
        return -EINVAL;
    options->asids_max = (unsigned)number;
    return 0;
}

static int set_seed(struct boot_options *options, const char *value)
{
    return parse_u64(value, &options->seed);
}

/* 0: the scheduler's own. So long that no slice ends, it takes time out of the order of fair tasks. */
static int set_slice(struct boot_options *options, const char *value)
{
    uint64_t milliseconds = 0;

    if (parse_u64(value, &milliseconds) != 0 || milliseconds > FAIR_SLICE_NS_MAX / NS_PER_MS)
        return -EINVAL;
    options->fair_slice_ns = milliseconds * NS_PER_MS;
    return 0;
}

static int parse_percent(const char *value, unsigned *out)
{
    uint64_t number = 0;

    if (parse_u64(value, &number) != 0 || number == 0 || number > 100)
        return -EINVAL;
    *out = (unsigned)number;
    return 0;
}

/* Percent of a CPU that real-time tasks may use while others wait; 100: all of it. */
static int set_rt(struct boot_options *options, const char *value)
{
    return parse_percent(value, &options->rt_percent);
}

/* Percent of a CPU that deadline tasks may be promised. */
static int set_deadline(struct boot_options *options, const char *value)
{
    return parse_percent(value, &options->deadline_percent);
}

static int set_idle(struct boot_options *options, const char *value)
{
    if (strcmp(value, "poll") != 0 && strcmp(value, "halt") != 0)
        return -EINVAL;
    options->idle_polls = strcmp(value, "poll") == 0;
    return 0;
}

/* The machine has read it: it moves the image before there is a log. A number that it did not follow is a bad one. */
static int set_kaslr(struct boot_options *options, const char *value)
{
    uint64_t wanted = 0;
    uintptr_t slide;

    (void)options;
    if (strcmp(value, "on") == 0 || strcmp(value, "off") == 0)
        return 0;
    return parse_u64(value, &wanted) == 0 && symbol_slide(&slide) && slide == wanted ? 0 : -EINVAL;
}

static int set_loglevel(struct boot_options *options, const char *value)
{
    uint64_t number = 0;

    (void)options;
    if (parse_u64(value, &number) != 0 || number > LOG_DEBUG)
        return -EINVAL;
    log_set_console_level((enum log_level)number);
    return 0;
}

static int set_switch(bool *option, const char *value)
{
    if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
        return -EINVAL;
    *option = strcmp(value, "on") == 0;
    return 0;
}

static int set_huge(struct boot_options *options, const char *value)
{
    return set_switch(&options->use_huge, value);
}

static int set_console(struct boot_options *options, const char *value)
{
    return set_switch(&options->use_console, value);
}

static int set_latency(struct boot_options *options, const char *value)
{
    return set_switch(&options->log_latency, value);
}

static const struct {
    const char *key;
    int (*set)(struct boot_options *options, const char *value);
} known[] = {
    { "init", set_init },
    { "cpus", set_cpus },
    { "seed", set_seed },
    { "loglevel", set_loglevel },
    { "slice", set_slice },
    { "kaslr", set_kaslr },
    { "asids", set_asids },
    { "huge", set_huge },
    { "rt", set_rt },
    { "deadline", set_deadline },
    { "idle", set_idle },
    { "console", set_console },
    { "latency", set_latency },
};

static void apply(struct boot_options *options, const struct cmdline_option *option)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(option->key, known[i].key) != 0)
            continue;
        if (!option->has_value || known[i].set(options, option->value) != 0)
            log_warn("boot option %s: bad value '%s', ignored", option->key, option->value);
        return;
    }
    log_warn("boot option '%s' is unknown, ignored (known: init, cpus, seed, loglevel, slice, rt, deadline, idle, "
             "asids, huge, console, latency, kaslr)", option->key);
}

/* Of a line of CMDLINE_BYTES all words find room. */
static void take_arguments(struct boot_options *options, const char *cmdline)
{
    size_t used = 0;
    int result;

    while (used < sizeof options->arguments &&
           (result = cmdline_next_word(&cmdline, options->arguments + used, sizeof options->arguments - used)) !=
               -ENOENT) {
        if (result != 0 || options->argument_count == FIRST_ARGUMENTS_MAX) {
            log_warn("boot option '--': malformed or too many arguments, '%s' ignored", options->arguments + used);
            continue;
        }
        used += strlen(options->arguments + used) + 1;
        options->argument_count++;
    }
}

void boot_options_parse(const char *cmdline, struct boot_options *out)
{
    struct cmdline_option option;
    int result = 0;

    *out = (struct boot_options){ .init = "showcase", .cpus_max = CPU_MAX, .asids_max = ASIDS_MAX, .seed = 1 };
    while ((result = cmdline_next(&cmdline, &option)) != -ENOENT) {
        if (result == 0 && !option.has_value && strcmp(option.key, "--") == 0) {
            take_arguments(out, cmdline);
            break;
        }
        if (result == 0)
            apply(out, &option);
        else
            log_warn("boot option '%s': malformed or too long, ignored", option.key);
    }
}
