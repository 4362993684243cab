/* SPDX-License-Identifier: MIT */
/*
 * Memory: mmap(2) and what changes mappings. All memory is present or made when it is touched; nothing is ever swapped
 * out, so advice about that has no effect and locking brings pages in. No state.
 */
#include <syscall/table.h>

#include <fs/cred.h>
#include <fs/fd.h>
#include <fs/file.h>
#include <fs/inode.h>
#include <fs/memfd.h>
#include <hal/user.h>
#include <k/errno.h>
#include <mm/user.h>
#include <proc/limits.h>
#include <proc/process.h>
#include <vm/object.h>
#include <vm/space.h>

#include "syscall_priv.h"

#define CAP_IPC_LOCK 14u

enum { PROT_GROWSDOWN = 0x01000000, PROT_GROWSUP = 0x02000000, PROT_SEM = 8 };
_Static_assert(VM_READ == 1 && VM_WRITE == 2 && VM_EXEC == 4, "as PROT_READ, PROT_WRITE, PROT_EXEC");

enum {
    MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_SHARED_VALIDATE = 3, MAP_TYPE = 0xf,
    MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_GROWSDOWN = 0x100, MAP_DENYWRITE = 0x800, MAP_EXECUTABLE = 0x1000,
    MAP_LOCKED = 0x2000, MAP_NORESERVE = 0x4000, MAP_POPULATE = 0x8000, MAP_NONBLOCK = 0x10000, MAP_STACK = 0x20000,
    MAP_HUGETLB = 0x40000, MAP_SYNC = 0x80000, MAP_FIXED_NOREPLACE = 0x100000,
};
#define MAP_KNOWN                                                                                                      \
    (MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_DENYWRITE | MAP_EXECUTABLE | MAP_LOCKED |              \
     MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB | MAP_FIXED_NOREPLACE)

/* RLIMIT_MEMLOCK, of each call. */
static bool may_lock(uint64_t bytes)
{
    return cred_can(thread_current()->user.cred, CAP_IPC_LOCK) ||
           bytes <= process_limit_get(process_current(), LIMIT_MEMLOCK);
}

/* As Linux's workaround for old versions of Valgrind has it, a soft limit of 0 is the hard one. */
static uint64_t data_limit(void)
{
    struct process_limit limit = { .soft = LIMIT_NONE };

    (void)!process_limit_change(process_current(), LIMIT_DATA, NULL, false, &limit);
    return limit.soft == 0 ? limit.hard : limit.soft;
}

static bool is_more_than(uint64_t most, uint64_t now, uint64_t more)
{
    return more > most || now > most - more;
}

static bool is_beyond_data_limit(uint64_t more)
{
    uint64_t most = data_limit();
    struct space_stats stats;

    if (LIKELY(most == LIMIT_NONE))
        return false;
    space_stats_get(space_current(), &stats);
    return is_more_than(most, stats.data_bytes, more);
}

/* RLIMIT_AS, and RLIMIT_DATA of data: would so much more be too much? Two threads that ask at once may both get it. */
static bool is_beyond_limit(uint64_t more, bool is_data)
{
    uint64_t most = process_limit_get(process_current(), LIMIT_AS);
    struct space_stats stats;

    if (is_data && is_beyond_data_limit(more))
        return true;
    if (LIKELY(most == LIMIT_NONE))
        return false;
    space_stats_get(space_current(), &stats);
    return is_more_than(most, stats.mapped_bytes, more);
}

/* ---- mmap(2) ---- */

static unsigned request_flags(unsigned flags)
{
    unsigned result = (flags & MAP_TYPE) == MAP_PRIVATE ? SPACE_PRIVATE : SPACE_SHARED;

    if ((flags & MAP_FIXED_NOREPLACE) != 0)
        result |= SPACE_FIXED_NOREPLACE;
    else if ((flags & MAP_FIXED) != 0)
        result |= SPACE_FIXED;
    if ((flags & MAP_GROWSDOWN) != 0)
        result |= SPACE_GROWS_DOWN;
    if ((flags & MAP_LOCKED) != 0 || (flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE)
        result |= SPACE_POPULATE;
    return result;
}

static int check_flags(unsigned flags)
{
    unsigned type = flags & MAP_TYPE;

    if (type == MAP_SHARED_VALIDATE && (flags & ~(unsigned)MAP_KNOWN) != 0)
        return -EOPNOTSUPP;
    if (type == 0 || type > MAP_SHARED_VALIDATE)
        return -EINVAL;
    return (flags & MAP_HUGETLB) != 0 ? -ENOMEM : 0; /* no pages are set aside */
}

static bool is_open(unsigned fd)
{
    struct fd_borrowed borrowed = fd_borrow(thread_current()->user.files, fd);

    fd_return(borrowed);
    return borrowed.file != NULL;
}

/* The file's object into the request, with a reference, which it has after an error, too, unless it is NULL. */
static int take_file(struct space_request *request, unsigned fd)
{
    bool is_shared = (request->flags & SPACE_SHARED) != 0;
    struct fd_borrowed borrowed = fd_borrow(thread_current()->user.files, fd);

    if (borrowed.file == NULL)
        return -EBADF;
    bool is_kept_from = (request->rights & VM_EXEC) != 0 &&
                        (filesystem_flags(borrowed.file->inode->fs) & MS_NOEXEC) != 0;
    int result = is_kept_from ? -EPERM : file_map(borrowed.file, is_shared, (request->rights & VM_WRITE) != 0,
                                                  &request->object);

    if (result == 0 && is_shared && file_is_sealed_for_maps(borrowed.file)) {
        request->flags |= SPACE_NO_WRITE;
        if ((request->rights & VM_WRITE) != 0)
            result = -EPERM;
    }
    if (result == 0 && is_shared && !borrowed.file->can_write)
        request->flags |= SPACE_NO_WRITE;
    fd_return(borrowed);
    return result;
}

SYSCALL(mmap)
{
    unsigned flags = (unsigned)args->arg[3];
    struct space_request request = {
        .at = args->arg[0], .bytes = args->arg[1], .rights = (unsigned)args->arg[2] & VM_RIGHTS,
        .flags = request_flags(flags), .offset = args->arg[5],
    };
    vaddr_t at = 0;
    int result = check_flags(flags);

    if (result != 0)
        return result;
    if (!IS_ALIGNED(request.offset, PAGE_BYTES))
        return -EINVAL;
    if (request.bytes == 0)
        return (flags & MAP_ANONYMOUS) != 0 || is_open((unsigned)args->arg[4]) ? -EINVAL : -EBADF;
    bool is_data = (request.rights & VM_WRITE) != 0 && (request.flags & (SPACE_SHARED | SPACE_GROWS_DOWN)) == 0;

    if (request.bytes > HAL_USER_END || is_beyond_limit(ROUND_UP(request.bytes, PAGE_BYTES), is_data))
        return -ENOMEM;
    if ((flags & MAP_LOCKED) != 0 && !may_lock(request.bytes))
        return process_limit_get(process_current(), LIMIT_MEMLOCK) == 0 ? -EPERM : -EAGAIN;
    if ((flags & MAP_ANONYMOUS) != 0)
        request.offset = 0;
    else
        result = take_file(&request, (unsigned)args->arg[4]);
    if (result == 0)
        result = space_map(space_current(), &request, &at);
    if (request.object != NULL)
        vm_object_put(request.object);
    return result != 0 ? result : (int64_t)at;
}

/* ---- Changes ---- */

SYSCALL(munmap)
{
    return space_unmap(space_current(), args->arg[0], args->arg[1]);
}

/* [at, at + bytes) in whole pages: 0 bytes is nothing to do. */
static int page_range(vaddr_t at, uint64_t bytes, size_t *out_bytes)
{
    if (!IS_ALIGNED(at, PAGE_BYTES))
        return -EINVAL;
    if (bytes > HAL_USER_END || at > HAL_USER_END - bytes)
        return -ENOMEM;
    *out_bytes = ROUND_UP(bytes, PAGE_BYTES);
    return 0;
}

/* How much of the range would become data, if it were writable? */
static uint64_t new_data_bytes(struct space *space, vaddr_t at, vaddr_t end)
{
    struct space_region region;
    uint64_t bytes = 0;

    for (; at < end && space_query(space, at, &region) == 0 && region.start < end; at = region.end)
        if (!region_is_data(region.rights, region.flags) && region_is_data(VM_WRITE, region.flags))
            bytes += MIN(region.end, end) - MAX(region.start, at);
    return bytes;
}

SYSCALL(mprotect)
{
    struct space *space = space_current();
    unsigned rights = (unsigned)args->arg[2];
    vaddr_t at = args->arg[0];
    struct space_region region;
    size_t bytes = 0;

    if ((rights & ~(unsigned)(VM_RIGHTS | PROT_SEM | PROT_GROWSDOWN)) != 0)
        return -EINVAL;
    int result = page_range(at, args->arg[1], &bytes);

    if (result != 0 || bytes == 0)
        return result;
    if ((rights & PROT_GROWSDOWN) != 0) {
        if (space_query(space, at, &region) != 0 || region.start > at)
            return -ENOMEM;
        if ((region.flags & VM_GROWS_DOWN) == 0)
            return -EINVAL;
        bytes += at - region.start;
        at = region.start;
    }
    /* The exact number only if there is not enough for all of it. */
    if ((rights & VM_WRITE) != 0 && is_beyond_data_limit(bytes)) {
        uint64_t more = new_data_bytes(space, at, at + bytes);

        if (more > 0 && is_beyond_data_limit(more))
            return -ENOMEM;
    }
    result = space_protect(space, at, bytes, rights & VM_RIGHTS);
    return result == -EINVAL ? -ENOMEM : result; /* all that is left is a range beyond the user's */
}

enum { MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2, MREMAP_DONTUNMAP = 4 };
_Static_assert(MREMAP_MAYMOVE == SPACE_REMAP_MAY_MOVE && MREMAP_FIXED == SPACE_REMAP_FIXED &&
               MREMAP_DONTUNMAP == SPACE_REMAP_KEEP, "the same bits");

SYSCALL(mremap)
{
    const struct space_remap remap = {
        .at = args->arg[0], .old_bytes = args->arg[1], .bytes = args->arg[2],
        .flags = args->arg[3] > SPACE_REMAP_FLAGS ? ~0u : (unsigned)args->arg[3], .to = args->arg[4],
    };
    vaddr_t at = 0;

    struct space_region region;
    bool is_data = space_query(space_current(), remap.at, &region) == 0 && region_is_data(region.rights, region.flags);

    if (remap.bytes > remap.old_bytes && is_beyond_limit(remap.bytes - remap.old_bytes, is_data))
        return -ENOMEM;
    int result = space_remap(space_current(), &remap, &at);

    return result != 0 ? result : (int64_t)at;
}

/* Linux's: no errors, the heap's end as it is then. */
SYSCALL(brk)
{
    struct space *space = space_current();
    vaddr_t wanted = args->arg[0], end = 0;

    (void)!space_brk(space, 0, &end);
    if (wanted > HAL_USER_END ||
        (wanted > end && (is_beyond_limit(ROUND_UP(wanted, PAGE_BYTES) - ROUND_UP(end, PAGE_BYTES), true) ||
                          wanted - space->heap_start > data_limit())))
        return (int64_t)end;
    if (wanted != 0)
        (void)!space_brk(space, wanted, &end);
    return (int64_t)end;
}

/* ---- Advice ---- */

enum {
    MADV_NORMAL = 0, MADV_RANDOM = 1, MADV_SEQUENTIAL = 2, MADV_WILLNEED = 3, MADV_DONTNEED = 4, MADV_FREE = 8,
    MADV_DOFORK = 11, MADV_HUGEPAGE = 14, MADV_NOHUGEPAGE = 15, MADV_DONTDUMP = 16, MADV_DODUMP = 17,
    MADV_KEEPONFORK = 19, MADV_COLD = 20, MADV_PAGEOUT = 21, MADV_POPULATE_READ = 22, MADV_POPULATE_WRITE = 23,
};

static int coverage(vaddr_t at, size_t bytes)
{
    return space_is_mapped(space_current(), at, bytes) ? 0 : -ENOMEM;
}

/* A hole, a right that is missing, an end of a file: to who locks or populates it is all -ENOMEM. */
static int pin(vaddr_t at, size_t bytes)
{
    return space_pin(space_current(), at, bytes) != 0 ? -ENOMEM : 0;
}

static int populate(vaddr_t at, size_t bytes)
{
    int result = space_pin(space_current(), at, bytes);

    return result == -EACCES ? -EINVAL : result == -ENXIO ? -EFAULT : result;
}

SYSCALL(madvise)
{
    vaddr_t at = args->arg[0];
    struct space *space = space_current();
    size_t bytes = 0;

    if (page_range(at, args->arg[1], &bytes) != 0)
        return -EINVAL;
    bool is_nothing = bytes == 0;

    switch ((int32_t)args->arg[2]) {
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_DOFORK:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_KEEPONFORK:
    case MADV_COLD:
    case MADV_PAGEOUT:
        return is_nothing ? 0 : coverage(at, bytes);
    case MADV_DONTNEED:
        return is_nothing ? 0 : space_advise(space, at, bytes, SPACE_DONTNEED);
    case MADV_FREE:
        return is_nothing ? 0 : space_advise(space, at, bytes, SPACE_FREE);
    case MADV_HUGEPAGE:
        return is_nothing ? 0 : space_advise(space, at, bytes, SPACE_USE_HUGE);
    case MADV_NOHUGEPAGE:
        return is_nothing ? 0 : space_advise(space, at, bytes, SPACE_USE_SMALL);
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
        return is_nothing ? 0 : populate(at, bytes);
    default:
        return -EINVAL;
    }
}

/* ---- Locking ---- */

enum { MLOCK_ONFAULT = 1, MCL_CURRENT = 1, MCL_FUTURE = 2, MCL_ONFAULT = 4 };

/* Linux takes any address here. */
static int loose_range(const struct syscall_args *args, vaddr_t *out_at, size_t *out_bytes)
{
    vaddr_t at = ROUND_DOWN(args->arg[0], PAGE_BYTES);
    uint64_t bytes = args->arg[1] + (args->arg[0] - at);

    *out_at = at;
    if (args->arg[0] + args->arg[1] < args->arg[0] || bytes < args->arg[1])
        return -EINVAL;
    return page_range(at, bytes, out_bytes);
}

static int64_t lock_range(const struct syscall_args *args, bool on_fault)
{
    vaddr_t at = 0;
    size_t bytes = 0;
    int result = loose_range(args, &at, &bytes);

    if (result != 0 || bytes == 0)
        return result;
    if (!may_lock(bytes))
        return process_limit_get(process_current(), LIMIT_MEMLOCK) == 0 ? -EPERM : -ENOMEM;
    return on_fault ? coverage(at, bytes) : pin(at, bytes);
}

SYSCALL(mlock)
{
    return lock_range(args, false);
}

SYSCALL(mlock2)
{
    if ((uint32_t)args->arg[2] > MLOCK_ONFAULT)
        return -EINVAL;
    return lock_range(args, (uint32_t)args->arg[2] == MLOCK_ONFAULT);
}

SYSCALL(munlock)
{
    vaddr_t at = 0;
    size_t bytes = 0;
    int result = loose_range(args, &at, &bytes);

    return result != 0 || bytes == 0 ? result : coverage(at, bytes);
}

SYSCALL(mlockall)
{
    struct space *space = space_current();
    uint32_t flags = (uint32_t)args->arg[0];
    struct space_stats stats;
    struct space_region region;

    if (flags == 0 || flags == MCL_ONFAULT || flags > (MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
        return -EINVAL;
    space_stats_get(space, &stats);
    if (!may_lock((flags & MCL_CURRENT) != 0 ? stats.mapped_bytes : 1))
        return process_limit_get(process_current(), LIMIT_MEMLOCK) == 0 ? -EPERM : -ENOMEM;
    if ((flags & MCL_CURRENT) == 0 || (flags & MCL_ONFAULT) != 0)
        return 0;
    for (vaddr_t at = 0; space_query(space, at, &region) == 0; at = region.end)
        if (region.rights != 0)
            (void)!space_pin(space, region.start, region.end - region.start); /* as on Linux, what can be */
    return 0;
}

SYSCALL(munlockall)
{
    (void)args;
    return 0; /* locking left nothing behind */
}

/* ---- Questions ---- */

SYSCALL(mincore)
{
    uint8_t piece[256];
    size_t bytes = 0;
    vaddr_t at = args->arg[0], to = args->arg[2];
    int result = page_range(at, args->arg[1], &bytes);

    if (result == 0 && !user_range_is_valid(to, bytes >> PAGE_SHIFT))
        result = -EFAULT;
    for (size_t left = bytes >> PAGE_SHIFT; result == 0 && left > 0;) {
        size_t count = MIN(left, sizeof piece);

        result = space_look(space_current(), at, count, piece);
        if (result == 0)
            result = user_copy_out(to, piece, count);
        at += count << PAGE_SHIFT;
        to += count;
        left -= count;
    }
    return result;
}

enum { MS_ASYNC = 1, MS_INVALIDATE = 2, MS_SYNC = 4 };

/* What is mapped is the file: there is nothing to write back to. */
SYSCALL(msync)
{
    unsigned flags = (unsigned)args->arg[2];
    size_t bytes = 0;

    if ((flags & ~(unsigned)(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) != 0 ||
        (flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
        return -EINVAL;
    int result = page_range(args->arg[0], args->arg[1], &bytes);

    return result != 0 || bytes == 0 ? result : coverage(args->arg[0], bytes);
}
