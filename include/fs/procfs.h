/* SPDX-License-Identifier: MIT */
/*
 * procfs: files whose text is made when they are opened. What is in them comes from those who know: rooms to the right
 * register files of the whole system ("uptime"), and one of them says which processes there are and what each has.
 *
 * A file is printed once, at its open, and read from that copy: so a reader sees one moment, however small its reads.
 * Directories of processes are made up as they are looked at, and keep nothing.
 *
 * Register at boot. Context of the rest: task, may sleep.
 */
#pragma once

#include <fs/filesystem.h>
#include <k/compiler.h>

/* Text that grows. */
struct procfs_text {
    char *bytes;   /* kmalloc */
    size_t used, room;
    bool has_failed; /* no memory: the open will say so */
};
void procfs_print(struct procfs_text *text, const char *format, ...) PRINTF_LIKE(2, 3);
void procfs_write(struct procfs_text *text, const void *bytes, size_t count);

/* `process` is NULL for files of the whole system. One of print, link: */
struct procfs_file {
    const char *name; /* with '/': in folders, which are there because of it; at most one file has it */
    uint32_t mode; /* permissions; 0: 0444, of links 0777 */
    /* Print all of it. An error is that of open(2). */
    int (*print)(struct procfs_text *text, void *process);
    /* Beside print: what one write(2) says, at most PROCFS_WRITE_MAX bytes and a NUL behind them. An error is its. */
    int (*write)(void *process, const char *text, size_t bytes);
    /* In place of print: a file of many that are alike, and which of them it is (sysfs's "cpu3/online"). */
    int (*print_numbered)(struct procfs_text *text, unsigned number);
    unsigned number;
    /* A magic link ("cwd", "exe"): where it leads, a reference. An error is that of the walk. */
    int (*link)(void *process, struct name **out);
    /* A link by its text ("self"), at most room bytes; there is no `link` then, and nothing else needs a text. */
    int64_t (*link_text)(void *process, char *to, size_t room);
};

#define PROCFS_WRITE_MAX 255u

/* At most PROCFS_FILES_MAX of each kind. */
#define PROCFS_FILES_MAX 64u
void procfs_register(const struct procfs_file *file);         /* /proc/NAME */
void procfs_register_process(const struct procfs_file *file); /* /proc/PID/NAME */

struct fd_table;
struct procfs_processes {
    int (*next)(int from);     /* the lowest number of a process at or above `from`, or -ENOENT */
    void *(*get)(int number);  /* counted, or NULL */
    void (*put)(void *process);
    void (*owner)(void *process, bool is_folder, uint32_t *out_user, uint32_t *out_group);
    struct fd_table *(*files)(void *process); /* counted, or NULL: /proc/PID/fd */
    /* Threads of the process: the lowest number at or above `from`, or -ENOENT; one of them, counted, or NULL. What is
     * counted is like a process to all of these, and shows that thread. */
    int (*next_thread)(void *process, int from);
    void *(*get_thread)(void *process, int number);
};
/* How programs know the O_.. flags of fs/abi.h: for /proc/PID/fdinfo. */
void procfs_set_flags_out(uint32_t (*out)(uint32_t flags));
void procfs_set_processes(const struct procfs_processes *processes);

/* sysfs is such files, too: those of the system that are below /sys, in a file system of their own. All of it at once,
 * files[count], which stay. At most SYSFS_FILES_MAX. Boot. */
#define SYSFS_FILES_MAX 8192u
void sysfs_set_files(const struct procfs_file *files, unsigned count);

extern const struct filesystem_type procfs_type, sysfs_type;
void procfs_init(void); /* boot; for fs_init() */
