/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables. A table begins with room for FD_INLINE numbers in itself, and doubles when that is too little:
 * memory is got outside of the lock, put in place under it. Files are closed outside of the lock, since that may sleep,
 * and after a wait for those who glance at the table.
 */
#include <fs/fd.h>

#include <fs/record_lock.h>
#include <k/errno.h>
#include <lib/bitmap.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/slab.h>
#include <smp/glance.h>

typedef _Atomic(struct file *) place;

static struct slab_cache table_cache;

void fd_init(void)
{
    slab_cache_init(&table_cache, "fd-table", sizeof(struct fd_table), _Alignof(struct fd_table));
}

static size_t words(unsigned room)
{
    return BITMAP_WORDS(room);
}

/* Files and both bitmaps are one piece of memory. */
static place *alloc_places(unsigned room)
{
    return kzalloc(room * sizeof(place) + 2 * words(room) * sizeof(uint64_t));
}

static place *places(const struct fd_table *table)
{
    return load_relaxed(&table->files);
}

static unsigned room_of(const struct fd_table *table)
{
    return load_relaxed(&table->room);
}

/* What the places hold is there. */
static void set_places(struct fd_table *table, place *files, unsigned room)
{
    table->used = (uint64_t *)&files[room];
    table->cloexec = table->used + words(room);
    store_release(&table->files, files); /* PAIRS(fd_file) */
    store_release(&table->room, room);   /* PAIRS(fd_room): whoever sees that there is room sees these places */
}

static void free_places(struct fd_table *table)
{
    if (places(table) != table->inline_files)
        kfree(places(table));
}

/* Nobody looks any more at what the caller has taken out of the table. PAIRS(glance): who begins to share the table
 * after this look at `users` looks after that, and sees it taken out. */
static void wait_for_glances(struct fd_table *table)
{
    fence_seq_cst();
    if (load_relaxed(&table->users) > 1)
        glance_wait(table);
}

int fd_table_create(struct fd_table **out)
{
    struct fd_table *table = slab_alloc(&table_cache);

    if (table == NULL)
        return -ENOMEM;
    memset(table, 0, sizeof *table);
    store_relaxed(&table->users, 1);
    spin_init(&table->lock, LOCK_FILES);
    store_relaxed(&table->files, table->inline_files);
    table->used = &table->inline_used;
    table->cloexec = &table->inline_cloexec;
    store_relaxed(&table->room, FD_INLINE);
    *out = table;
    return 0;
}

/* Make room for a number. -ENOMEM; -EMFILE: there never is. */
static int grow(struct fd_table *table, unsigned fd)
{
    unsigned room = FD_INLINE;
    place *files, *old = NULL;

    if (fd >= FD_LIMIT_MAX)
        return -EMFILE;
    while (room <= fd)
        room *= 2;
    files = alloc_places(room);
    if (files == NULL)
        return -ENOMEM;
    spin_lock(&table->lock);
    unsigned old_room = room_of(table);

    if (old_room < room) {
        const uint64_t *used = table->used, *cloexec = table->cloexec;

        old = places(table);
        memcpy(&files[room], used, words(old_room) * sizeof(uint64_t));
        memcpy((uint64_t *)&files[room] + words(room), cloexec, words(old_room) * sizeof(uint64_t));
        for (unsigned i = 0; i < old_room; i++)
            store_relaxed(&files[i], load_relaxed(&old[i]));
        set_places(table, files, room);
        files = NULL;
    }
    spin_unlock(&table->lock);
    kfree(files); /* somebody else was faster */
    if (old == NULL || old == table->inline_files)
        return 0;
    wait_for_glances(table);
    kfree(old);
    return 0;
}

static void mark_locked(struct fd_table *table, unsigned fd, bool cloexec)
{
    bitmap_set(table->used, fd);
    if (cloexec)
        bitmap_set(table->cloexec, fd);
    else
        bitmap_clear(table->cloexec, fd);
}

static void free_locked(struct fd_table *table, unsigned fd)
{
    store_relaxed(&places(table)[fd], NULL);
    bitmap_clear(table->used, fd);
    bitmap_clear(table->cloexec, fd);
    table->lowest = MIN(table->lowest, fd);
}

/* There is such a place. */
static struct file *file_in(const struct fd_table *table, unsigned fd)
{
    return load_relaxed(&places(table)[fd]);
}

static struct file *file_at_locked(const struct fd_table *table, unsigned fd)
{
    return fd < room_of(table) ? file_in(table, fd) : NULL;
}

struct file *fd_get(struct fd_table *table, unsigned fd)
{
    return fd_get_here(table, fd);
}

int fd_reserve(struct fd_table *table, unsigned from, unsigned limit, bool cloexec)
{
    limit = MIN(limit, FD_LIMIT_MAX);
    if (from >= limit)
        return from == 0 ? -EMFILE : -EINVAL;
    for (;;) {
        spin_lock(&table->lock);
        unsigned start = MAX(from, table->lowest), room = room_of(table);
        size_t free = start < room ? bitmap_find_clear(table->used, room, start) : BITMAP_NONE;
        unsigned fd = free != BITMAP_NONE ? (unsigned)free : MAX(start, room);

        if (fd < limit && fd < room) {
            mark_locked(table, fd, cloexec);
            if (from <= table->lowest)
                table->lowest = fd + 1;
        }
        spin_unlock(&table->lock);
        if (fd >= limit)
            return -EMFILE;
        if (fd < room)
            return (int)fd;
        int error = grow(table, fd);

        if (error != 0)
            return error;
    }
}

void fd_install(struct fd_table *table, unsigned fd, struct file *file)
{
    spin_lock(&table->lock);
    ASSERT(fd < room_of(table) && file_in(table, fd) == NULL && bitmap_test(table->used, fd));
    store_release(&places(table)[fd], file); /* PAIRS(fd_file) */
    spin_unlock(&table->lock);
}

void fd_unreserve(struct fd_table *table, unsigned fd)
{
    spin_lock(&table->lock);
    ASSERT(fd < room_of(table) && file_in(table, fd) == NULL && bitmap_test(table->used, fd));
    free_locked(table, fd);
    spin_unlock(&table->lock);
}

int fd_add(struct fd_table *table, struct file *file, unsigned from, unsigned limit, bool cloexec)
{
    int fd = fd_reserve(table, from, limit, cloexec);

    if (fd >= 0)
        fd_install(table, (unsigned)fd, file);
    return fd;
}

/* A file that has been taken out of the table. */
static void close_file(struct fd_table *table, struct file *file)
{
    wait_for_glances(table);
    record_lock_closed(file, table);
    file_put(file);
}

int fd_close(struct fd_table *table, unsigned fd)
{
    spin_lock(&table->lock);
    struct file *file = file_at_locked(table, fd);

    if (file != NULL)
        free_locked(table, fd);
    spin_unlock(&table->lock);
    if (file == NULL)
        return -EBADF;
    close_file(table, file);
    return 0;
}

/* The first number in [first, last] with a bit in the map, and its file taken out of the table; NULL: none. */
static struct file *take_next(struct fd_table *table, bool only_cloexec, unsigned *first, unsigned last)
{
    struct file *file = NULL;

    spin_lock(&table->lock);
    size_t end = MIN((size_t)room_of(table), (size_t)last + 1);

    while (file == NULL && *first < end) {
        size_t fd = bitmap_find_set(only_cloexec ? table->cloexec : table->used, end, *first);

        if (fd == BITMAP_NONE)
            break;
        *first = (unsigned)fd + 1;
        file = file_in(table, (unsigned)fd); /* NULL: reserved, somebody is about to install it */
        if (file != NULL)
            free_locked(table, (unsigned)fd);
    }
    spin_unlock(&table->lock);
    return file;
}

static void close_range(struct fd_table *table, bool only_cloexec, unsigned first, unsigned last)
{
    struct file *file;

    while ((file = take_next(table, only_cloexec, &first, last)) != NULL)
        close_file(table, file);
}

void fd_close_range(struct fd_table *table, unsigned first, unsigned last)
{
    close_range(table, false, first, last);
}

void fd_close_on_exec(struct fd_table *table)
{
    close_range(table, true, 0, UINT32_MAX);
}

void fd_cloexec_range(struct fd_table *table, unsigned first, unsigned last)
{
    spin_lock(&table->lock);
    for (unsigned fd = first; fd < room_of(table) && fd <= last; fd++)
        if (file_in(table, fd) != NULL)
            bitmap_set(table->cloexec, fd);
    spin_unlock(&table->lock);
}

int fd_dup(struct fd_table *table, unsigned fd, unsigned from, unsigned limit, bool cloexec)
{
    struct file *file = fd_get(table, fd);
    int to;

    if (file == NULL)
        return -EBADF;
    to = fd_add(table, file, from, limit, cloexec);
    if (to < 0)
        file_put(file);
    return to;
}

/* Put files[fd] at `to` as well; *out_old is what was there. */
static int replace_locked(struct fd_table *table, unsigned fd, unsigned to, bool cloexec, struct file **out_old)
{
    struct file *file = file_at_locked(table, fd);

    if (file == NULL)
        return -EBADF;
    if (file_in(table, to) == NULL && bitmap_test(table->used, to))
        return -EBUSY; /* reserved: an open in another task is under way, dup2(2) */
    file_get(file);
    *out_old = file_in(table, to);
    mark_locked(table, to, cloexec);
    store_release(&places(table)[to], file); /* PAIRS(fd_file) */
    return 0;
}

int fd_dup_to(struct fd_table *table, unsigned fd, unsigned to, unsigned limit, bool cloexec)
{
    struct file *old = NULL;

    if (to >= MIN(limit, FD_LIMIT_MAX))
        return -EBADF;
    spin_lock(&table->lock);
    bool is_open = file_at_locked(table, fd) != NULL, has_room = to < room_of(table);

    spin_unlock(&table->lock);
    if (!is_open)
        return -EBADF;
    int error = has_room ? 0 : grow(table, to);

    if (error != 0)
        return error;
    spin_lock(&table->lock);
    error = replace_locked(table, fd, to, cloexec, &old);
    spin_unlock(&table->lock);
    if (old != NULL)
        close_file(table, old);
    return error != 0 ? error : (int)to;
}

int fd_cloexec_get(struct fd_table *table, unsigned fd)
{
    spin_lock(&table->lock);
    int result = file_at_locked(table, fd) == NULL ? -EBADF : (int)bitmap_test(table->cloexec, fd);

    spin_unlock(&table->lock);
    return result;
}

int fd_cloexec_set(struct fd_table *table, unsigned fd, bool cloexec)
{
    int error = -EBADF;

    spin_lock(&table->lock);
    if (file_at_locked(table, fd) != NULL) {
        mark_locked(table, fd, cloexec);
        error = 0;
    }
    spin_unlock(&table->lock);
    return error;
}

unsigned fd_room(struct fd_table *table)
{
    spin_lock(&table->lock);
    unsigned room = room_of(table);

    spin_unlock(&table->lock);
    return room;
}

int fd_next(struct fd_table *table, unsigned from)
{
    int result = -ENOENT;

    spin_lock(&table->lock);
    while (from < room_of(table) && file_in(table, from) == NULL) {
        size_t next = bitmap_find_set(table->used, room_of(table), from);

        if (next == BITMAP_NONE)
            from = room_of(table);
        else
            from = file_in(table, (unsigned)next) != NULL ? (unsigned)next : (unsigned)next + 1;
    }
    if (from < room_of(table))
        result = (int)from;
    spin_unlock(&table->lock);
    return result;
}

uint64_t fd_held_bytes(struct fd_table *table)
{
    uint64_t bytes = 0;

    spin_lock(&table->lock);
    for (unsigned fd = 0; fd < room_of(table); fd++)
        if (file_in(table, fd) != NULL)
            bytes += file_held_bytes(file_in(table, fd));
    spin_unlock(&table->lock);
    return bytes;
}

/* ---- The table as a whole ---- */

void fd_table_get(struct fd_table *table)
{
    uint32_t before = fetch_add_relaxed(&table->users, 1);

    ASSERT(before > 0 && before < UINT32_MAX);
}

void fd_table_put(struct fd_table *table)
{
    /* PAIRS(fd_users): what this user did to the table is seen by who finds itself the only one, and by the last
     * one. */
    uint32_t before = fetch_sub_acq_rel(&table->users, 1);

    ASSERT(before > 0);
    if (before > 1)
        return;
    fd_close_range(table, 0, UINT32_MAX);
    free_places(table);
    slab_free(&table_cache, table);
}

/* Numbers up to the highest one in use. */
static unsigned extent_locked(const struct fd_table *table)
{
    for (size_t word = words(room_of(table)); word-- > 0;)
        if (table->used[word] != 0)
            return (unsigned)(word * 64 + 64 - (size_t)__builtin_clzll(table->used[word]));
    return 0;
}

/* False: `to` has too little room. Reserved numbers are free in the copy. */
static bool try_copy(struct fd_table *from, struct fd_table *to, unsigned *out_extent)
{
    spin_lock(&from->lock);
    unsigned extent = *out_extent = extent_locked(from);
    bool fits = extent <= room_of(to);

    for (unsigned fd = 0; fits && fd < extent; fd++) {
        struct file *file = file_in(from, fd);

        if (file == NULL)
            continue;
        file_get(file);
        store_relaxed(&places(to)[fd], file); /* nobody else has it yet */
        mark_locked(to, fd, bitmap_test(from->cloexec, fd));
    }
    spin_unlock(&from->lock);
    return fits;
}

int fd_table_copy(struct fd_table *from, struct fd_table **out)
{
    struct fd_table *to;
    unsigned extent = 0;
    int error = fd_table_create(&to);

    while (error == 0 && !try_copy(from, to, &extent)) {
        error = grow(to, extent - 1);
        if (error != 0)
            fd_table_put(to);
    }
    if (error == 0)
        *out = to;
    return error;
}
