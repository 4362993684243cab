/* SPDX-License-Identifier: MIT */
/* The inside of the console: the line editor, the table of commands, and where their text goes. All of it is used by
 * one task at a time; it has no locks. */
#pragma once

#include <stdbool.h>

#include <console/console.h>
#include <k/compiler.h>
#include <k/types.h>

#define CONSOLE_PRIORITY PRIORITY_REALTIME_LOW /* a look at a busy machine must not wait for what keeps it busy */
#define CONSOLE_LINE_BYTES 128 /* of a command line, with its NUL */
#define CONSOLE_WORDS_MAX 8

/* line.c: a line as it is typed. */
struct console_line {
    char text[CONSOLE_LINE_BYTES];
    size_t bytes;      /* terminated when LINE_DONE is returned */
    bool is_overlong;  /* keys were refused: the line is not what was typed */
    bool after_return; /* the last key was a carriage return: a newline right behind it is its other half */
    unsigned escape;   /* inside a sequence of a special key: 1 after ESC, 2 after its bracket */
};

enum console_line_event { LINE_MORE, LINE_DONE, LINE_CANCELLED };

/* One key. Echoes through console_write(). After LINE_DONE and LINE_CANCELLED call line_begin(). */
void line_begin(struct console_line *line);
enum console_line_event line_key(struct console_line *line, char key);

/* show.c: output. Everything that commands print goes here; a test may take it instead of the console. */
typedef void console_sink_fn(const char *text, size_t bytes);
void console_set_sink(console_sink_fn *sink); /* NULL: the console */
void console_write(const char *text, size_t bytes);
void console_print(const char *format, ...) PRINTF_LIKE(1, 2); /* a line at most; cut at 255 bytes */
/* "0-3,7", "all" if the set has all online CPUs; cut with "+" where it does not fit. */
struct cpumask;
void console_format_cpus(const struct cpumask *mask, char *to, size_t room);
unsigned long long console_ms(uint64_t ticks);
unsigned long long console_us(uint64_t ticks);

/* command.c */
#define CONSOLE_EXIT 1 /* a command's answer: leave, with console_exit_code */
extern int console_exit_code;
struct console_words {
    unsigned count; /* the command's name included */
    const char *word[CONSOLE_WORDS_MAX];
};
/* Do what the line says; it is cut into words. 0, or CONSOLE_EXIT. Whatever is wrong with it has been printed. */
int console_do(char *line);
/* A number within bounds, or one sentence about it: false. */
bool console_number(const char *word, uint64_t min, uint64_t max, uint64_t *out);

/* console.c: a key within that time, or -1. Sleeps in between. Context: task. */
int console_wait_key(uint64_t timeout_ns);

/* tasks.c, cpus.c: commands. 0, or -EINVAL: the words are wrong and the usage should be shown. */
int command_ps(const struct console_words *words);
int command_top(const struct console_words *words);
int command_sched(const struct console_words *words);
int command_latency(const struct console_words *words);
