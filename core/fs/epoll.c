/* SPDX-License-Identifier: MIT */
/* epoll(7): fs/epoll.h has the states and locks. Owns all watches. */
#include <fs/epoll.h>

#include "fs_priv.h"

#include <k/errno.h>
#include <lib/rbtree.h>
#include <mm/kmalloc.h>
#include <mm/phys.h>
#include <mm/slab.h>
#include <time/clock.h>

#define PRIVATE (EPOLL_EXCLUSIVE | EPOLL_WAKEUP | EPOLL_ONESHOT | EPOLL_EDGE)
#define ALWAYS (POLLERR | POLLHUP)
#define MEMORY_PART 25u /* of the machine's, for watches */

struct epoll {
    struct mutex mutex;
    struct rb_tree watches;  /* guarded by mutex, and changed under the watches' mutex, too */
    struct poll_queue queue; /* who waits for it; its lock also guards: */
    struct list_node listed;
    unsigned listed_count;
};

struct watch {
    /* Immutable. */
    struct epoll *epoll;
    struct file *file;
    unsigned fd;

    struct rb_node node;
    struct watch *next; /* of the same file; guarded by the watches' mutex */

    /* Guarded by the epoll's mutex. POLL.. that are wanted, and how; of one that has fired once only PRIVATE. */
    uint32_t events;
    uint64_t data;

    struct list_node link; /* guarded by the epoll's lock; linked while it is listed */

    struct poll_wait wait;
    struct poll_entry entries[POLL_QUEUES_MAX];
};

static struct {
    struct mutex mutex; /* which watches files and epolls have */
    _Atomic(uint64_t) count;
    uint64_t max; /* immutable */
    struct slab_cache cache;
} all = {.mutex = MUTEX_INIT(all.mutex)};

void epoll_init(void)
{
    struct phys_stats memory;

    slab_cache_init(&all.cache, "epoll-watch", sizeof(struct watch), _Alignof(struct watch));
    phys_stats_get(&memory);
    all.max = memory.total_pages * PAGE_BYTES / MEMORY_PART / sizeof(struct watch);
}

uint64_t epoll_watches_count(void)
{
    return load_relaxed(&all.count);
}

uint64_t epoll_watches_max(void)
{
    return all.max;
}

/* ---- The list ---- */

static void list_locked(struct watch *watch)
{
    struct epoll *epoll = watch->epoll;

    if (list_is_linked(&watch->link))
        return;
    list_push_back(&epoll->listed, &watch->link);
    epoll->listed_count++;
}

static void unlist_locked(struct watch *watch)
{
    if (!list_is_linked(&watch->link))
        return;
    list_remove(&watch->link);
    watch->epoll->listed_count--;
}

static struct watch *take_listed(struct epoll *epoll)
{
    struct spinlock *lock = &epoll->queue.wait.lock;
    uintptr_t state = spin_lock_irqsave(lock);
    struct list_node *node = list_pop_front(&epoll->listed);

    if (node != NULL)
        epoll->listed_count--;
    spin_unlock_irqrestore(lock, state);
    return node != NULL ? list_entry(node, struct watch, link) : NULL;
}

/* Something about the file has changed. The lock of a queue of the file is held, or interrupts are disabled. */
static void told(struct poll_wait *wait)
{
    struct watch *watch = container_of(wait, struct watch, wait);
    struct spinlock *lock = &watch->epoll->queue.wait.lock;
    uintptr_t state = spin_lock_irqsave(lock);

    list_locked(watch);
    poll_wake_locked(&watch->epoll->queue);
    spin_unlock_irqrestore(lock, state);
}

/* Outside of that lock, with the epoll's mutex. Also by a wait that took the watch out and puts it back: who else has
 * seen an empty list meanwhile, and sleeps, is woken. */
static void list_and_tell(struct watch *watch)
{
    uintptr_t state = hal_irq_save();

    told(&watch->wait);
    sched_irq_restore(state);
}

/* The same by who polls the epoll. Others who poll have its mutex when they look, so they have not seen the list
 * without the watch; and each would be told by the others, or by itself, for as long as the watch is ready. */
static void put_back(struct watch *watch)
{
    struct waitq *queue = &watch->epoll->queue.wait;
    uintptr_t state = spin_lock_irqsave(&queue->lock);

    list_locked(watch);
    (void)waitq_wake_locked(queue, UINT32_MAX);
    spin_unlock_irqoff(&queue->lock);
    sched_irq_restore(state);
}

/* What is wanted and so. */
static uint32_t events_of(struct watch *watch)
{
    uint32_t wanted = watch->events & ~PRIVATE;

    return wanted == 0 ? 0 : file_poll(watch->file, NULL) & wanted;
}

/* ---- Files ---- */

static uint32_t epoll_poll(struct file *file, struct poll_wait *wait)
{
    struct epoll *epoll = file->data;
    uint32_t got = 0;

    poll_enter(wait, &epoll->queue);
    mutex_lock(&epoll->mutex);
    for (struct watch *watch; got == 0 && (watch = take_listed(epoll)) != NULL;) {
        if (events_of(watch) == 0)
            continue;
        put_back(watch);
        got = POLLIN | POLLRDNORM;
    }
    mutex_unlock(&epoll->mutex);
    return got;
}

/* Both mutexes are held. The file may end as soon as it does not have the watch any more. */
static void remove_watch(struct watch *watch)
{
    struct epoll *epoll = watch->epoll;
    struct spinlock *lock = &epoll->queue.wait.lock;
    struct watch *first = load_relaxed(&watch->file->watches);

    poll_leave(&watch->wait); /* from here on nobody tells it */
    uintptr_t state = spin_lock_irqsave(lock);

    unlist_locked(watch);
    spin_unlock_irqrestore(lock, state);
    rb_remove(&epoll->watches, &watch->node, NULL);
    if (first == watch) {
        store_release(&watch->file->watches, watch->next); /* PAIRS(file_watches): after it has left the queues */
    } else {
        while (first->next != watch)
            first = first->next;
        first->next = watch->next;
    }
    slab_free(&all.cache, watch);
    (void)fetch_sub_relaxed(&all.count, 1);
}

static void epoll_release(struct file *file)
{
    struct epoll *epoll = file->data;

    mutex_lock(&all.mutex);
    mutex_lock(&epoll->mutex);
    while (!rb_is_empty(&epoll->watches))
        remove_watch(container_of(rb_first(&epoll->watches), struct watch, node));
    mutex_unlock(&epoll->mutex);
    mutex_unlock(&all.mutex);
    kfree(epoll);
}

static const struct file_ops epoll_ops = {.poll = epoll_poll, .release = epoll_release};

bool file_is_epoll(const struct file *file)
{
    return file->ops == &epoll_ops;
}

void epoll_file_ended(struct file *file)
{
    struct watch *watch;

    mutex_lock(&all.mutex);
    while ((watch = load_relaxed(&file->watches)) != NULL) {
        struct epoll *epoll = watch->epoll; /* has a watch, so it does not end before we let go */

        mutex_lock(&epoll->mutex);
        remove_watch(watch);
        mutex_unlock(&epoll->mutex);
    }
    mutex_unlock(&all.mutex);
}

int epoll_create(struct file **out)
{
    struct epoll *epoll = kzalloc(sizeof *epoll);

    if (epoll == NULL)
        return -ENOMEM;
    mutex_init(&epoll->mutex);
    rb_init(&epoll->watches);
    poll_queue_init(&epoll->queue);
    spin_init(&epoll->queue.wait.lock, LOCK_EPOLL); /* taken under those of files' queues */
    list_init(&epoll->listed);
    int error = anon_file_create(&epoll_ops, O_RDWR, epoll, out);

    if (error != 0)
        kfree(epoll);
    return error;
}

/* ---- Watches ---- */

static bool is_before(const struct file *a_file, unsigned a_fd, const struct file *b_file, unsigned b_fd)
{
    return a_file != b_file ? (uintptr_t)a_file < (uintptr_t)b_file : a_fd < b_fd;
}

static struct watch *watch_at(const struct rb_node *node)
{
    return container_of(node, struct watch, node);
}

static bool watch_less(const struct rb_node *a, const struct rb_node *b)
{
    return is_before(watch_at(a)->file, watch_at(a)->fd, watch_at(b)->file, watch_at(b)->fd);
}

static struct watch *find(const struct epoll *epoll, const struct file *file, unsigned fd)
{
    struct rb_node *node = epoll->watches.root;

    while (node != NULL) {
        struct watch *watch = watch_at(node);

        if (watch->file == file && watch->fd == fd)
            return watch;
        node = is_before(file, fd, watch->file, watch->fd) ? node->left : node->right;
    }
    return NULL;
}

static struct watch *alloc_watch(int *error)
{
    struct watch *watch = NULL;

    *error = -ENOSPC;
    if (fetch_add_relaxed(&all.count, 1) < all.max) {
        *error = -ENOMEM;
        watch = slab_alloc(&all.cache);
    }
    if (watch == NULL)
        (void)fetch_sub_relaxed(&all.count, 1);
    return watch;
}

static int add_locked(struct epoll *epoll, struct file *file, unsigned fd, uint32_t events, uint64_t data)
{
    int error;

    if (find(epoll, file, fd) != NULL)
        return -EEXIST;
    struct watch *watch = alloc_watch(&error);

    if (watch == NULL)
        return error;
    *watch = (struct watch){.epoll = epoll, .file = file, .fd = fd, .events = events | ALWAYS, .data = data};
    watch->wait = (struct poll_wait){.told = told, .enters = true, .room = POLL_QUEUES_MAX, .entries = watch->entries};
    list_init(&watch->link);
    rb_insert(&epoll->watches, &watch->node, watch_less, NULL);
    watch->next = load_relaxed(&file->watches);
    store_relaxed(&file->watches, watch); /* the caller's reference to the file is given back after this */
    if ((file_poll(file, &watch->wait) & watch->events & ~PRIVATE) != 0)
        list_and_tell(watch);
    watch->wait.enters = false;
    return 0;
}

int epoll_add(struct file *epoll, struct file *file, unsigned fd, uint32_t events, uint64_t data)
{
    struct epoll *to = epoll->data;

    if (file_is_epoll(file))
        return -ELOOP;
    mutex_lock(&all.mutex);
    mutex_lock(&to->mutex);
    int error = add_locked(to, file, fd, events, data);

    mutex_unlock(&to->mutex);
    mutex_unlock(&all.mutex);
    return error;
}

static int modify_locked(struct watch *watch, uint32_t events, uint64_t data)
{
    if (watch == NULL)
        return -ENOENT;
    if ((watch->events & EPOLL_EXCLUSIVE) != 0)
        return -EINVAL;
    watch->events = events | ALWAYS;
    watch->data = data;
    if (events_of(watch) != 0)
        list_and_tell(watch);
    return 0;
}

int epoll_modify(struct file *epoll, struct file *file, unsigned fd, uint32_t events, uint64_t data)
{
    struct epoll *of = epoll->data;

    mutex_lock(&of->mutex);
    int error = modify_locked(find(of, file, fd), events, data);

    mutex_unlock(&of->mutex);
    return error;
}

int epoll_remove(struct file *epoll, struct file *file, unsigned fd)
{
    struct epoll *from = epoll->data;

    mutex_lock(&all.mutex);
    mutex_lock(&from->mutex);
    struct watch *watch = find(from, file, fd);

    if (watch != NULL)
        remove_watch(watch);
    mutex_unlock(&from->mutex);
    mutex_unlock(&all.mutex);
    return watch == NULL ? -ENOENT : 0;
}

/* ---- Waiting ---- */

static unsigned listed_count(struct epoll *epoll)
{
    uintptr_t state = spin_lock_irqsave(&epoll->queue.wait.lock);
    unsigned count = epoll->listed_count;

    spin_unlock_irqrestore(&epoll->queue.wait.lock, state);
    return count;
}

/* One that was listed, and has events. */
static int report(struct watch *watch, uint32_t events, epoll_sink_fn *sink, void *argument, unsigned index)
{
    int error = sink(argument, index, events, watch->data);

    if (error == 0 && (watch->events & EPOLL_ONESHOT) != 0)
        watch->events &= PRIVATE; /* until it is modified */
    else if (error != 0 || (watch->events & EPOLL_EDGE) == 0)
        list_and_tell(watch);
    return error;
}

/* Those that are listed now, once each. */
static int take(struct epoll *epoll, unsigned max, epoll_sink_fn *sink, void *argument)
{
    unsigned got = 0;
    int error = 0;

    mutex_lock(&epoll->mutex);
    for (unsigned left = listed_count(epoll); left > 0 && got < max && error == 0; left--) {
        struct watch *watch = take_listed(epoll);
        uint32_t events = watch == NULL ? 0 : events_of(watch);

        if (events == 0)
            continue;
        error = report(watch, events, sink, argument, got);
        got += error == 0;
    }
    mutex_unlock(&epoll->mutex);
    return got > 0 ? (int)got : error;
}

int epoll_wait(struct file *file, unsigned max, uint64_t deadline_ns, epoll_sink_fn *sink, void *argument)
{
    struct epoll *epoll = file->data;

    for (;;) {
        int got = take(epoll, max, sink, argument);

        if (got != 0 || deadline_ns == 0)
            return got;
        /* Also if the list never stays empty, of files about which nothing changes that is wanted. */
        if (file_wait_is_interrupted())
            return -EINTR;
        if (deadline_ns != TIME_NEVER && clock_ns() >= deadline_ns)
            return 0;
        int error = waitq_wait_until(&epoll->queue.wait, epoll->listed_count > 0, deadline_ns, FILE_WAIT);

        if (error == -EINTR)
            return error;
    }
}
