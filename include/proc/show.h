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

/* An average (fixed point, 1 is 1 << LOAD_SHIFT) five seconds later, in which `active` tasks ran or wanted to: of one
 * minute, of five, of fifteen. */
#define LOAD_AVERAGES 3u
#define LOAD_SHIFT 16 /* sysinfo(2)'s */
uint32_t load_next(unsigned which, uint32_t average, uint64_t active);
/* Those of now. Context: any. */
void show_load_averages(uint64_t out[LOAD_AVERAGES]);

/* For show.c and show_system.c. */
int show_load(struct procfs_text *text, void *process);
void show_system_init(void);
void show_sysfs_init(void);
int show_mounts(struct procfs_text *text, void *process);
int show_mount_info(struct procfs_text *text, void *process);
