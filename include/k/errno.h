/* SPDX-License-Identifier: MIT */
/*
 * Error numbers: Linux's asm-generic values, one vocabulary from the allocator to the user. Kernel
 * functions return -EXXX.
 */
#pragma once

#define EPERM 1
#define ENOENT 2
#define ESRCH 3
#define EINTR 4
#define EIO 5
#define ENXIO 6
#define E2BIG 7
#define ENOEXEC 8
#define EBADF 9
#define ECHILD 10
#define EAGAIN 11
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define ENOTBLK 15
#define EBUSY 16
#define EEXIST 17
#define EXDEV 18
#define ENODEV 19
#define ENOTDIR 20
#define EISDIR 21
#define EINVAL 22
#define ENFILE 23
#define EMFILE 24
#define ENOTTY 25
#define ETXTBSY 26
#define EFBIG 27
#define ENOSPC 28
#define ESPIPE 29
#define EROFS 30
#define EMLINK 31
#define EPIPE 32
#define ERANGE 34
#define EDEADLK 35
#define ENAMETOOLONG 36
#define ENOLCK 37
#define ENOSYS 38
#define ENOTEMPTY 39
#define ELOOP 40
#define EPROTO 71
#define EOVERFLOW 75
#define ELIBBAD 80
#define ENOTSOCK 88
#define EDESTADDRREQ 89
#define EPROTOTYPE 91
#define ENOPROTOOPT 92
#define EPROTONOSUPPORT 93
#define ESOCKTNOSUPPORT 94
#define EOPNOTSUPP 95
#define EAFNOSUPPORT 97
#define EISCONN 106
#define ETIMEDOUT 110
#define ECANCELED 125

/* Of a system call that a signal interrupted, to signal_attend() (proc/signal.h); no user sees one. It is made anew: */
#define ERESTARTSYS 512            /* if there is no handler, or it has SA_RESTART */
#define ERESTARTNOINTR 513         /* in any case */
#define ERESTARTNOHAND 514         /* if there is no handler */
#define ERESTART_RESTARTBLOCK 516  /* as restart_syscall(2), if there is no handler */

#define ERRNO_MAX 4095 /* -1..-4095 are errors at the system-call boundary */
