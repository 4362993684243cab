/* SPDX-License-Identifier: MIT */
/* See fdt_build.h. Layout: Devicetree Specification 0.4, chapter 5. Aborts if a test outgrows the buffers. */
#include "fdt_build.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 40

static void store32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

uint32_t fdt_build_get32(const struct fdt_build *build, uint32_t offset)
{
    const uint8_t *at = build->blob + offset;

    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void fdt_build_put32(struct fdt_build *build, uint32_t offset, uint32_t value)
{
    store32(build->blob + offset, value);
}

void fdt_build_begin(struct fdt_build *build)
{
    memset(build, 0, sizeof(*build));
    build->version = 17;
}

void fdt_build_reserve(struct fdt_build *build, uint64_t base, uint64_t bytes)
{
    build->reserve[build->reserve_count][0] = base;
    build->reserve[build->reserve_count++][1] = bytes;
}

void fdt_build_token(struct fdt_build *build, uint32_t token)
{
    if (build->structure_bytes + 4 > FDT_BUILD_BYTES)
        abort();
    store32(build->structure + build->structure_bytes, token);
    build->structure_bytes += 4;
}

static void put_padded(struct fdt_build *build, const void *data, size_t bytes)
{
    if (build->structure_bytes + bytes + 4 > FDT_BUILD_BYTES)
        abort();
    if (bytes > 0)
        memcpy(build->structure + build->structure_bytes, data, bytes);
    build->structure_bytes += (uint32_t)((bytes + 3) & ~(size_t)3);
}

void fdt_build_node(struct fdt_build *build, const char *name)
{
    fdt_build_token(build, 1);
    put_padded(build, name, strlen(name) + 1);
}

void fdt_build_close(struct fdt_build *build)
{
    fdt_build_token(build, 2);
}

static uint32_t string_offset(struct fdt_build *build, const char *name)
{
    uint32_t offset = 0;

    while (offset < build->strings_bytes && strcmp(build->strings + offset, name) != 0)
        offset += (uint32_t)strlen(build->strings + offset) + 1;
    if (offset == build->strings_bytes) {
        if (offset + strlen(name) + 1 > sizeof(build->strings))
            abort();
        strcpy(build->strings + offset, name);
        build->strings_bytes += (uint32_t)strlen(name) + 1;
    }
    return offset;
}

void fdt_build_prop(struct fdt_build *build, const char *name, const void *data, size_t bytes)
{
    fdt_build_token(build, 3);
    fdt_build_token(build, (uint32_t)bytes);
    fdt_build_token(build, string_offset(build, name));
    put_padded(build, data, bytes);
}

void fdt_build_string(struct fdt_build *build, const char *name, const char *text)
{
    fdt_build_prop(build, name, text, strlen(text) + 1);
}

void fdt_build_cells(struct fdt_build *build, const char *name, size_t count, const uint32_t *cells)
{
    uint8_t data[256];

    if (count * 4 > sizeof(data))
        abort();
    for (size_t i = 0; i < count; i++)
        store32(data + 4 * i, cells[i]);
    fdt_build_prop(build, name, data, count * 4);
}

void fdt_build_end(struct fdt_build *build)
{
    uint32_t reserve = HEADER_BYTES, at = reserve, structure;

    fdt_build_token(build, 9);
    for (uint32_t i = 0; i <= build->reserve_count; i++) { /* the last entry is zero */
        for (uint32_t j = 0; j < 2; j++, at += 8) {
            store32(build->blob + at, (uint32_t)(build->reserve[i][j] >> 32));
            store32(build->blob + at + 4, (uint32_t)build->reserve[i][j]);
        }
    }
    structure = at;
    memcpy(build->blob + at, build->structure, build->structure_bytes);
    at += build->structure_bytes;
    memcpy(build->blob + at, build->strings, build->strings_bytes);
    build->bytes = at + build->strings_bytes;

    const uint32_t header[] = {0xd00dfeed, build->bytes,         structure, at, reserve, build->version, 16, 0,
                               build->strings_bytes, build->structure_bytes};
    for (uint32_t i = 0; i < sizeof(header) / sizeof(header[0]); i++)
        store32(build->blob + 4 * i, header[i]);
}

static void build_map(struct fdt_build *build)
{
    fdt_build_node(build, "cpu-map");
    for (uint32_t i = 0; i < 2; i++) {
        fdt_build_node(build, i == 0 ? "core0" : "core1");
        FDT_CELLS(build, "cpu", i + 1);
        fdt_build_close(build);
    }
    fdt_build_close(build);
}

/* Of the first two CPUs a cache each, and one for both. */
static void build_caches(struct fdt_build *build)
{
    for (uint32_t i = 0; i < 3; i++) {
        fdt_build_node(build, (const char *[]){"l2-cache0", "l2-cache1", "l3-cache"}[i]);
        fdt_build_string(build, "compatible", "cache");
        FDT_CELLS(build, "phandle", 0x20 + i);
        if (i < 2)
            FDT_CELLS(build, "next-level-cache", 0x22);
        fdt_build_close(build);
    }
}

static void build_cpus(struct fdt_build *build, bool has_map)
{
    fdt_build_node(build, "cpus");
    FDT_CELLS(build, "#address-cells", 1);
    FDT_CELLS(build, "#size-cells", 0);
    FDT_CELLS(build, "timebase-frequency", 10000000);
    for (uint32_t i = 0; i < 3; i++) {
        fdt_build_node(build, (const char *[]){"cpu@0", "cpu@1", "cpu@100"}[i]);
        fdt_build_string(build, "device_type", "cpu");
        FDT_CELLS(build, "reg", i < 2 ? i : 0x100);
        if (i > 0)
            fdt_build_string(build, "status", i == 1 ? "okay" : "disabled");
        if (has_map && i < 2)
            FDT_CELLS(build, "next-level-cache", 0x20 + i);
        fdt_build_node(build, "interrupt-controller");
        FDT_CELLS(build, "phandle", i + 1);
        fdt_build_close(build);
        fdt_build_close(build);
    }
    if (has_map) {
        build_map(build);
        build_caches(build);
    }
    fdt_build_close(build);
}

static void build_soc(struct fdt_build *build)
{
    fdt_build_node(build, "soc");
    FDT_CELLS(build, "#address-cells", 2);
    FDT_CELLS(build, "#size-cells", 2);
    fdt_build_prop(build, "ranges", NULL, 0);
    fdt_build_node(build, "serial@10000000");
    fdt_build_prop(build, "compatible", "vendor,uart\0ns16550a", 21);
    FDT_CELLS(build, "reg", 0, 0x10000000, 0, 0x100, 0, 0x20000000, 0, 0x200);
    fdt_build_close(build);
    fdt_build_node(build, "bus@4000000");
    fdt_build_string(build, "compatible", "simple-bus");
    FDT_CELLS(build, "#address-cells", 1);
    FDT_CELLS(build, "#size-cells", 1);
    FDT_CELLS(build, "ranges", 0, 1, 0x4000000, 0x1000, 0x8000, 1, 0x5000000, 0x2000);
    fdt_build_node(build, "timer@8010");
    fdt_build_string(build, "compatible", "ns16550a");
    FDT_CELLS(build, "reg", 0x8010, 0x10, 0x0ff0, 0x10, 0x9ff0, 0x11, 0x4000, 4);
    fdt_build_close(build);
    fdt_build_close(build);
    fdt_build_close(build);
}

static void begin_machine(struct fdt_build *build, bool has_map)
{
    fdt_build_begin(build);
    fdt_build_reserve(build, 0x80000000, 0x40000);
    fdt_build_reserve(build, UINT64_C(0x123456789a000), 0x1000);
    fdt_build_node(build, "");
    FDT_CELLS(build, "#address-cells", 2);
    FDT_CELLS(build, "#size-cells", 2);
    fdt_build_string(build, "compatible", "riscv-virtio");
    fdt_build_node(build, "chosen");
    fdt_build_string(build, "bootargs", "console=ttyS0 quiet");
    FDT_CELLS(build, "linux,initrd-start", 0x84000000);
    FDT_CELLS(build, "linux,initrd-end", 1, 0x84100000);
    fdt_build_close(build);
    fdt_build_node(build, "memory@80000000");
    fdt_build_string(build, "device_type", "memory");
    FDT_CELLS(build, "reg", 0, 0x80000000, 0, 0x20000000, 1, 0, 4, 0);
    fdt_build_close(build);
    build_cpus(build, has_map);
    build_soc(build);
}

void fdt_build_machine(struct fdt_build *build)
{
    begin_machine(build, false);
    fdt_build_close(build);
    fdt_build_end(build);
}

void fdt_build_numa_machine(struct fdt_build *build)
{
    begin_machine(build, true);
    fdt_build_node(build, "distance-map");
    fdt_build_string(build, "compatible", "numa-distance-map-v1");
    FDT_CELLS(build, "distance-matrix", 0, 0, 10, 0, 1, 20, 1, 1, 10);
    fdt_build_close(build);
    fdt_build_close(build);
    fdt_build_end(build);
}
