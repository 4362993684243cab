/* SPDX-License-Identifier: MIT */
/*
 * Pairs of connected sockets (socketpair(2), unix(7)), of streams only: there are no others yet. Each direction is a
 * ring of bytes as a pipe's (fs/pipe.h), so what is said there of waits and locks is true here.
 *
 *   a direction:  OPEN -> CLOSED  its writer shuts SHUT_WR, its reader SHUT_RD, or either closes
 *
 * A reader takes what is there, then gets the end; a writer gets -EPIPE once its direction is CLOSED by the reader, or
 * by itself. Context of all: task, may sleep.
 */
#pragma once

#include <stdbool.h>

#include <fs/file.h>
#include <k/compiler.h>

#define SOCK_STREAM 1u
#define SOCK_DGRAM 2u
#define SOCK_SEQPACKET 5u
#define AF_UNIX 1u

#define SHUT_RD 0
#define SHUT_WR 1
#define SHUT_RDWR 2

#define MSG_PEEK 0x2u
#define MSG_WAITALL 0x100u
#define MSG_DONTWAIT 0x40u
#define MSG_NOSIGNAL 0x4000u

void socket_init(void); /* boot */

/* Flags: O_NONBLOCK (O_CLOEXEC is the table's); two files. -ENOMEM. */
int socket_create_pair(uint32_t flags, struct file *out[2]) MUST_USE;

bool file_is_socket(const struct file *file);

/* As file_read() and file_write(), with MSG_.. flags (NOSIGNAL is the caller's). -ENOTSOCK. */
int64_t socket_receive(struct file *file, struct io_span *to, uint32_t flags) MUST_USE;
int64_t socket_send(struct file *file, struct io_span *from, uint32_t flags) MUST_USE;

/* shutdown(2). -ENOTSOCK, -EINVAL. */
int socket_shutdown(struct file *file, int how) MUST_USE;
