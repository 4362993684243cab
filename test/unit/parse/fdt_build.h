/* SPDX-License-Identifier: MIT */
/* Writes device trees for tests: each call adds tokens to a structure block, fdt_build_end() joins the blocks. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define FDT_BUILD_BYTES 16384

struct fdt_build {
    uint8_t structure[FDT_BUILD_BYTES];
    uint32_t structure_bytes;
    char strings[1024];
    uint32_t strings_bytes;
    uint64_t reserve[8][2];
    uint32_t reserve_count;
    uint32_t version; /* 17 unless the test changes it */
    uint8_t blob[2 * FDT_BUILD_BYTES];
    uint32_t bytes;
};

void fdt_build_begin(struct fdt_build *build);
void fdt_build_reserve(struct fdt_build *build, uint64_t base, uint64_t bytes);
void fdt_build_token(struct fdt_build *build, uint32_t token);
void fdt_build_node(struct fdt_build *build, const char *name);
void fdt_build_close(struct fdt_build *build);
void fdt_build_prop(struct fdt_build *build, const char *name, const void *data, size_t bytes);
void fdt_build_string(struct fdt_build *build, const char *name, const char *text);
void fdt_build_cells(struct fdt_build *build, const char *name, size_t count, const uint32_t *cells);

/* FDT_END, header, blocks: blob and bytes are valid afterwards. */
void fdt_build_end(struct fdt_build *build);

/* A machine as QEMU's virt describes them: CPUs, memory, a bus with translation, an initrd, reserved memory. */
void fdt_build_machine(struct fdt_build *build);

/* The same with a cpu-map, caches and a distance map. */
void fdt_build_numa_machine(struct fdt_build *build);

/* Big-endian access to a finished blob, for damage. */
uint32_t fdt_build_get32(const struct fdt_build *build, uint32_t offset);
void fdt_build_put32(struct fdt_build *build, uint32_t offset, uint32_t value);

#define FDT_CELLS(build, name, ...)                                                                    \
    fdt_build_cells(build, name, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t),           \
                    (const uint32_t[]){__VA_ARGS__})
