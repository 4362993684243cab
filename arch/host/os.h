/* SPDX-License-Identifier: MIT */
/* The host operating system's memory calls, apart because <sys/mman.h> and <hal/mmu.h> both own the names PROT_*. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum os_access { OS_NONE, OS_READ, OS_READ_WRITE };

#define OS_NO_FILE (-1)

/* A memory file, or -1. */
int os_file_create(uint64_t bytes);

/*
 * Map at va: private memory for OS_NO_FILE, else the shared file. Claim: where nothing may be mapped yet; replace: in
 * the place of what is there. Async-signal-safe, and not seen by the sanitizers, which watch mmap() and munmap(): what
 * a TLB does is none of their business, and forgetting the shadow of a whole window takes them milliseconds.
 */
bool os_claim(uintptr_t va, size_t bytes, enum os_access access, int file, uint64_t offset);
bool os_replace(uintptr_t va, size_t bytes, enum os_access access, int file, uint64_t offset);
bool os_unclaim(uintptr_t va, size_t bytes); /* false: what is left would be too many mappings */

/* Fresh private memory anywhere, shared with children if asked; NULL if there is none. */
void *os_alloc(size_t bytes, bool is_shared);

void os_release(void *va, size_t bytes);

/* Catch a signal on the alternate stack, with no signal blocked meanwhile: the handler may leave by a stack switch. Not
 * through sigaction(): ThreadSanitizer would run its own code around the handler, on a page that may just be missing.
 * os_signal_restore() brings back what was before. */
struct os_signal {
    void (*handler)(int number, void *info, void *ucontext);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};
void os_signal_catch(int number, void (*handler)(int, void *, void *), struct os_signal *out_old);
void os_signal_restore(int number, const struct os_signal *old);

/* End the process with a message: the host cannot give the machine what it stands on. */
[[noreturn]] void os_die(const char *what);
