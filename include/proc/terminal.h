/* SPDX-License-Identifier: MIT */
/* What the terminal (fs/tty.h) needs to know of processes: sessions and groups, as in credentials(7) and tty_ioctl(4).
 * */
#pragma once

/* Boot, once, after fs_init(). Context: task. */
void terminal_hooks_init(void);
