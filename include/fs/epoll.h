/* SPDX-License-Identifier: MIT */
/*
 * Watching many files: epoll(7). An epoll is a file that has watches, each of a file under a descriptor's number. A
 * watch stays at the file's poll queues (fs/poll.h). Who changes the file's state tells the watch, which so comes into
 * the epoll's list of those to be looked at; a wait looks at these only.
 *
 *   a watch    from      to                who                                   under
 *              -         idle              epoll_add()                           watches' and epoll's mutex
 *              idle      listed            who changes the file's state          file's queue, then epoll's lock
 *              listed    idle              a wait takes it out, then looks       epoll's mutex, then its lock
 *              idle      listed            the wait: it was ready and is not     the same
 *                                          edge-triggered
 *              any       -                 epoll_remove(), the last reference    watches' and epoll's mutex
 *                                          to the file or the epoll is gone
 *
 * A change that comes after the look lists the watch again: no edge is lost. Whoever lists a watch wakes all who wait.
 * A watch holds no reference to its file; a file that ends takes its watches away before anything of it goes, with the
 * mutex under which waits look.
 *
 * An epoll can itself be polled, but not be watched by another one: -ELOOP.
 *
 * Locks, in this order: the watches' mutex (one, core/fs/epoll.c), an epoll's mutex, what a file's poll() takes, a poll
 * queue's lock, the epoll's lock (LOCK_EPOLL). Context of all: task, may sleep, no spinlock held.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <k/compiler.h>

struct file;

/* Of a watch, beside POLL..: Linux's include/uapi/linux/eventpoll.h. */
#define EPOLL_EXCLUSIVE 0x10000000u /* taken and not needed: all who wait are woken in any case */
#define EPOLL_WAKEUP 0x20000000u    /* nothing here suspends */
#define EPOLL_ONESHOT 0x40000000u
#define EPOLL_EDGE 0x80000000u

/* A reference. -ENOMEM. */
int epoll_create(struct file **out) MUST_USE;

bool file_is_epoll(const struct file *file);

/* epoll_ctl(2): `fd` tells watches of one file apart. `data` comes back with each event.
 * epoll_add, of a file that has a poll(): -EEXIST; -ELOOP; -ENOSPC: epoll_watches_max(); -ENOMEM.
 * epoll_modify, epoll_remove: -ENOENT. epoll_modify: -EINVAL: it is exclusive. */
int epoll_add(struct file *epoll, struct file *file, unsigned fd, uint32_t events, uint64_t data) MUST_USE;
int epoll_modify(struct file *epoll, struct file *file, unsigned fd, uint32_t events, uint64_t data) MUST_USE;
int epoll_remove(struct file *epoll, struct file *file, unsigned fd) MUST_USE;

/* Takes the event number `index` of a wait. Not 0: it cannot, and the watch stays listed. The epoll's mutex is held. */
typedef int epoll_sink_fn(void *argument, unsigned index, uint32_t events, uint64_t data);

/* epoll_wait(2): up to `max` events, at least one, or none after the deadline; 0 looks once. -EINTR; the sink's error,
 * if it refuses the first. */
int epoll_wait(struct file *epoll, unsigned max, uint64_t deadline_ns, epoll_sink_fn *sink, void *argument) MUST_USE;

/* The last reference to a file that was watched is gone; before its release. */
void epoll_file_ended(struct file *file);

/* Watches that exist, of all epolls; and as many as may: they take memory that no limit of a process covers, up to a
 * twenty-fifth of the machine's, as on Linux. */
uint64_t epoll_watches_count(void);
uint64_t epoll_watches_max(void);
