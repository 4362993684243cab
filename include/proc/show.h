/* SPDX-License-Identifier: MIT */
/* What /proc shows (proc(5)). */
#pragma once

#include <k/types.h>

struct procfs_text;

/* Boot, once, after fs_init(). Context: task. */
void show_init(void);

/* The boot's command line, which is not copied. Boot. */
void show_set_command_line(const char *line);

/* Load averages are kept from here on. Once. Context: task. */
void show_load_begin(void);

/* An average (fixed point, 1 is 65536) five seconds later, in which `active` tasks ran or wanted to: of one minute, of
 * five, of fifteen. */
#define LOAD_AVERAGES 3u
uint32_t load_next(unsigned which, uint32_t average, uint64_t active);

/* For show.c and show_system.c. */
int show_load(struct procfs_text *text, void *process);
void show_system_init(void);
void show_sysfs_init(void);
int show_mounts(struct procfs_text *text, void *process);
int show_mount_info(struct procfs_text *text, void *process);
