/* SPDX-License-Identifier: MIT */
/* The host operating system's memory calls; see os.h. No state, no lock. */
#include "os.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void host_signal_return(void); /* swap_<isa>.c: the system call that ends a handler */

#define EXIT_SOFTWARE 70 /* EX_SOFTWARE of sysexits.h */

static const int protection[] = {
    [OS_NONE] = PROT_NONE,
    [OS_READ] = PROT_READ,
    [OS_READ_WRITE] = PROT_READ | PROT_WRITE,
};

static int flags_of(int file)
{
    return MAP_NORESERVE | (file == OS_NO_FILE ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
}

int os_file_create(uint64_t bytes)
{
    int file = memfd_create("verdant-ram", MFD_CLOEXEC);

    if (file < 0)
        return -1;
    if (ftruncate(file, (off_t)bytes) != 0) {
        (void)close(file);
        return -1;
    }
    return file;
}

static bool map_at(uintptr_t va, size_t bytes, enum os_access access, int how, int file, uint64_t offset)
{
    return syscall(SYS_mmap, va, bytes, protection[access], flags_of(file) | how, file, offset) == (long)va;
}

bool os_claim(uintptr_t va, size_t bytes, enum os_access access, int file, uint64_t offset)
{
    return map_at(va, bytes, access, MAP_FIXED_NOREPLACE, file, offset);
}

bool os_replace(uintptr_t va, size_t bytes, enum os_access access, int file, uint64_t offset)
{
    return map_at(va, bytes, access, MAP_FIXED, file, offset);
}

bool os_unclaim(uintptr_t va, size_t bytes)
{
    return syscall(SYS_munmap, va, bytes) == 0;
}

void *os_alloc(size_t bytes, bool is_shared)
{
    int flags = MAP_NORESERVE | MAP_ANONYMOUS | (is_shared ? MAP_SHARED : MAP_PRIVATE);
    void *got = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);

    return got == MAP_FAILED ? NULL : got;
}

void os_release(void *va, size_t bytes)
{
    (void)munmap(va, bytes);
}

/* Linux's own flag and record, see rt_sigaction(2): x86_64 insists on a restorer, others bear one. */
#define OS_SA_RESTORER 0x04000000ul

void os_signal_catch(int number, void (*handler)(int, void *, void *), struct os_signal *out_old)
{
    struct os_signal action = {
        .handler = handler,
        .flags = (unsigned long)(SA_SIGINFO | SA_ONSTACK | SA_NODEFER) | OS_SA_RESTORER,
        .restorer = host_signal_return,
    };

    if (syscall(SYS_rt_sigaction, number, &action, out_old, sizeof action.mask) != 0)
        os_die("rt_sigaction");
}

void os_signal_restore(int number, const struct os_signal *old)
{
    (void)syscall(SYS_rt_sigaction, number, old, NULL, sizeof old->mask);
}

void os_die(const char *what)
{
    perror(what);
    _exit(EXIT_SOFTWARE);
}
