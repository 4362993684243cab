/* SPDX-License-Identifier: MIT */
/* What /proc shows (proc(5)). */
#pragma once

struct procfs_text;

/* Boot, once, after fs_init(). Context: task. */
void show_init(void);

/* For show.c and show_system.c. */
void show_system_init(void);
int show_mounts(struct procfs_text *text, void *process);
