/* SPDX-License-Identifier: MIT */
/* vdso(7): the kernel's code in the program, found as C libraries find it, tells the same time as its calls. */
#include "check.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <time.h>

#define SECOND 1000000000ll

#if defined(__aarch64__)
#define PREFIX "__kernel_"
#define VERSION "LINUX_2.6.39"
#elif defined(__riscv)
#define PREFIX "__vdso_"
#define VERSION "LINUX_4.15"
#else
#define PREFIX "__vdso_"
#define VERSION "LINUX_2.6"
#endif

struct image {
    const char *base; /* what addresses in it are relative to */
    const ElfW(Sym) *symbols;
    const ElfW(Versym) *versions;
    const ElfW(Verdef) *definitions;
    const char *strings;
    uint32_t symbol_count;
};

static struct image image_read(void)
{
    const ElfW(Ehdr) *header = (const void *)getauxval(AT_SYSINFO_EHDR);
    const ElfW(Dyn) *dynamic = NULL;
    struct image image = {0};

    TRUE(header != NULL && memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_type == ET_DYN);
    const ElfW(Phdr) *parts = (const void *)((const char *)header + header->e_phoff);

    for (int i = 0; i < header->e_phnum; i++) {
        if (parts[i].p_type == PT_LOAD)
            image.base = (const char *)header + parts[i].p_offset - parts[i].p_vaddr;
        if (parts[i].p_type == PT_DYNAMIC)
            dynamic = (const void *)((const char *)header + parts[i].p_offset);
    }
    TRUE(image.base != NULL && dynamic != NULL);
    for (; dynamic->d_tag != DT_NULL; dynamic++) {
        const void *at = image.base + dynamic->d_un.d_ptr;

        switch (dynamic->d_tag) {
        case DT_STRTAB:
            image.strings = at;
            break;
        case DT_SYMTAB:
            image.symbols = at;
            break;
        case DT_HASH:
            image.symbol_count = ((const uint32_t *)at)[1];
            break;
        case DT_VERSYM:
            image.versions = at;
            break;
        case DT_VERDEF:
            image.definitions = at;
            break;
        default:
            break;
        }
    }
    TRUE(image.symbols != NULL && image.strings != NULL && image.versions != NULL && image.definitions != NULL);
    NEEDS(image.symbol_count != 0, "the image has another kind of table");
    return image;
}

static bool has_version(const struct image *image, unsigned index)
{
    const ElfW(Verdef) *at = image->definitions;

    for (;; at = (const void *)((const char *)at + at->vd_next)) {
        const ElfW(Verdaux) *name = (const void *)((const char *)at + at->vd_aux);

        if ((at->vd_ndx & 0x7fff) == (index & 0x7fff))
            return strcmp(image->strings + name->vda_name, VERSION) == 0;
        if (at->vd_next == 0)
            return false;
    }
}

static const void *find(const char *name)
{
    struct image image = image_read();

    for (uint32_t i = 1; i < image.symbol_count; i++)
        if (strcmp(image.strings + image.symbols[i].st_name, name) == 0) {
            TRUE(image.symbols[i].st_shndx != SHN_UNDEF && has_version(&image, image.versions[i]));
            return image.base + image.symbols[i].st_value;
        }
    return NULL;
}

static long long asked(clockid_t clock)
{
    struct timespec time;

    GOOD(syscall(SYS_clock_gettime, clock, &time));
    return time.tv_sec * SECOND + time.tv_nsec;
}

CHECK(vdso, tells_the_time)
{
    static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME, CLOCK_THREAD_CPUTIME_ID};
    int (*gettime)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))find(PREFIX "clock_gettime");
    struct timespec time;

    TRUE(gettime != NULL);
    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++)
        for (int turn = 0; turn < 100; turn++) {
            long long before = asked(clocks[i]);

            EQUAL(gettime(clocks[i], &time), 0);
            TRUE(time.tv_nsec >= 0 && time.tv_nsec < SECOND);
            TRUE(before <= time.tv_sec * SECOND + time.tv_nsec);
            TRUE(time.tv_sec * SECOND + time.tv_nsec <= asked(clocks[i]));
        }
    EQUAL(gettime(12, &time), -EINVAL);
    EQUAL(gettime(99, &time), -EINVAL);
}

CHECK(vdso, tells_the_time_of_day)
{
    int (*gettimeofday_)(struct timeval *, void *) = (int (*)(struct timeval *, void *))find(PREFIX "gettimeofday");
    int (*getres)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))find(PREFIX "clock_getres");
    struct timespec fine = {1, 0};
    struct timeval time;
    long long before = asked(CLOCK_REALTIME) / 1000;

    TRUE(gettimeofday_ != NULL && getres != NULL);
    EQUAL(gettimeofday_(&time, NULL), 0);
    TRUE(before <= time.tv_sec * 1000000ll + time.tv_usec);
    TRUE(time.tv_sec * 1000000ll + time.tv_usec <= asked(CLOCK_REALTIME) / 1000);
    EQUAL(getres(CLOCK_MONOTONIC, &fine), 0);
    EQUAL(fine.tv_sec, 0);
    EQUAL(fine.tv_nsec, 1);
}
