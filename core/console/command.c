/* SPDX-License-Identifier: MIT */
/* The table of commands, and what is said about a line that names none of them. */
#include <k/errno.h>
#include <lib/string.h>
#include <mm/stats.h>
#include <parse/cmdline.h>
#include <trace/log.h>

#include "console_priv.h"

int console_exit_code;

static int command_help(const struct console_words *words);
static int command_mem(const struct console_words *words);
static int command_log(const struct console_words *words);
static int command_exit(const struct console_words *words);

static const struct {
    const char *name;
    int (*run)(const struct console_words *words);
    const char *usage;
    const char *summary;
} commands[] = {
    { "help", command_help, "help", "this list" },
    { "ps", command_ps, "ps", "all tasks: state, class, times, switches, what they wait on" },
    { "top", command_top, "top [MILLISECONDS [LINES [ROUNDS]]]", "who used the CPUs; a key ends it" },
    { "sched", command_sched, "sched", "run queues, their counts, and the latency ledger" },
    { "latency", command_latency, "latency [reset]", "the longest stretches without interrupts or preemption" },
    { "mem", command_mem, "mem", "memory by kind, and the object caches" },
    { "log", command_log, "log [level 0-3]", "which lines the console shows: errors, warnings, news, all" },
    { "exit", command_exit, "exit [CODE]", "leave the machine" },
};

bool console_number(const char *word, uint64_t min, uint64_t max, uint64_t *out)
{
    if (parse_u64(word, out) == 0 && *out >= min && *out <= max)
        return true;
    console_print("'%s': give a number from %llu to %llu\n", word, (unsigned long long)min, (unsigned long long)max);
    return false;
}

static int command_help(const struct console_words *words)
{
    if (words->count != 1)
        return -EINVAL;
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        console_print("  %-36s %s\n", commands[i].usage, commands[i].summary);
    console_print("  keys: backspace, ^U empties the line, ^C forgets it; Ctrl-A X leaves QEMU\n");
    return 0;
}

static int command_mem(const struct console_words *words)
{
    enum log_level level = log_console_level();

    if (words->count != 1)
        return -EINVAL;
    if (level < LOG_INFO)
        log_set_console_level(LOG_INFO); /* the report goes through the log */
    mm_stats_log();
    log_set_console_level(level);
    return 0;
}

static int command_log(const struct console_words *words)
{
    uint64_t level = 0;

    if (words->count == 1) {
        console_print("log level %u\n", (unsigned)log_console_level());
        return 0;
    }
    if (words->count != 3 || strcmp(words->word[1], "level") != 0)
        return -EINVAL;
    if (console_number(words->word[2], LOG_ERROR, LOG_DEBUG, &level))
        log_set_console_level((enum log_level)level);
    return 0;
}

static int command_exit(const struct console_words *words)
{
    uint64_t code = 0;

    if (words->count > 2)
        return -EINVAL;
    if (words->count == 2 && !console_number(words->word[1], 0, 100, &code))
        return 0;
    console_exit_code = (int)code;
    return CONSOLE_EXIT;
}

/* Words are separated by blanks. False: too many. */
static bool split(char *line, struct console_words *out)
{
    out->count = 0;
    for (char *at = line; *at != '\0';) {
        if (*at == ' ') {
            at++;
            continue;
        }
        if (out->count == CONSOLE_WORDS_MAX)
            return false;
        out->word[out->count++] = at;
        while (*at != '\0' && *at != ' ')
            at++;
        if (*at == ' ')
            *at++ = '\0';
    }
    return true;
}

int console_do(char *line)
{
    struct console_words words;

    if (!split(line, &words)) {
        console_print("no command has more than %u words\n", CONSOLE_WORDS_MAX);
        return 0;
    }
    if (words.count == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        if (strcmp(words.word[0], commands[i].name) != 0)
            continue;
        int result = commands[i].run(&words);

        if (result == -EINVAL)
            console_print("usage: %s\n", commands[i].usage);
        return result == CONSOLE_EXIT ? CONSOLE_EXIT : 0;
    }
    console_print("'%s': no such command; help lists them\n", words.word[0]);
    return 0;
}
