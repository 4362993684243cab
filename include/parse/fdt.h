/* SPDX-License-Identifier: MIT */
/*
 * Flattened device tree (Devicetree Specification 0.4, chapter 5): untrusted bytes in, checked facts out. Nothing is
 * allocated, nothing outside [blob, blob + bytes) is read, every loop is bounded by the blob's size.
 */
#pragma once

#include <stdbool.h>

#include <k/compiler.h>
#include <k/types.h>

struct fdt {
    const uint8_t *blob;
    uint32_t bytes;         /* totalsize, checked against what the caller can reach */
    uint32_t struct_offset, struct_bytes;
    uint32_t strings_offset, strings_bytes;
    uint32_t reserve_offset;
};

/* A node: offset of its FDT_BEGIN_NODE token in the structure block. Node 0 is the root. */
typedef uint32_t fdt_node_t;
#define FDT_NODE_NONE UINT32_MAX

struct fdt_property {
    const char *name;
    const uint8_t *data; /* big-endian cells or strings */
    uint32_t bytes;
};

/* Check the header, every token, every nesting and every string up front, so that the calls below cannot fail half-way.
 * -EINVAL: damaged; -EOVERFLOW: it claims more than `available` bytes; -EPROTO: not readable as version 16 or 17. */
int fdt_open(struct fdt *fdt, const void *blob, size_t available) MUST_USE;

/* The total size that a header claims, or 0 if there is no device tree at blob (magic). Reads 8 bytes. */
uint32_t fdt_claimed_bytes(const void *blob);

/* Depth-first order over all nodes; FDT_NODE_NONE after the last. `*depth` starts at 0 for the root and is kept. */
fdt_node_t fdt_next_node(const struct fdt *fdt, fdt_node_t node, int *depth);
fdt_node_t fdt_first_child(const struct fdt *fdt, fdt_node_t node);
fdt_node_t fdt_next_sibling(const struct fdt *fdt, fdt_node_t node);

/* "cpu@0": with the unit address. */
const char *fdt_node_name(const struct fdt *fdt, fdt_node_t node);

/* By full path ("/chosen", "/cpus"); a component without '@' matches any unit address. FDT_NODE_NONE if absent. */
fdt_node_t fdt_find_path(const struct fdt *fdt, const char *path);

/* First node after `from` (FDT_NODE_NONE: from the start) whose compatible list contains the string. */
fdt_node_t fdt_find_compatible(const struct fdt *fdt, fdt_node_t from, const char *compatible);
bool fdt_is_compatible(const struct fdt *fdt, fdt_node_t node, const char *compatible);

/* status absent, "okay" or "ok". */
bool fdt_is_enabled(const struct fdt *fdt, fdt_node_t node);

/* -ENOENT if absent. */
int fdt_get_property(const struct fdt *fdt, fdt_node_t node, const char *name, struct fdt_property *out) MUST_USE;

/* A property that is one NUL-terminated string (or the first of a list); NULL if absent or unterminated. */
const char *fdt_get_string(const struct fdt *fdt, fdt_node_t node, const char *name);

/* Cell `index` of a property of 32-bit cells. -ENOENT absent, -EINVAL too short. */
int fdt_get_cell(const struct fdt *fdt, fdt_node_t node, const char *name, unsigned index, uint32_t *out) MUST_USE;

/* A number of 1 or 2 cells, whichever the property's length says (initrd addresses, timebase). */
int fdt_get_number(const struct fdt *fdt, fdt_node_t node, const char *name, uint64_t *out) MUST_USE;

/* Entry `index` of "reg", decoded by the parent's #address-cells and #size-cells (default 2 and 1) and translated
 * through the parents' "ranges". Without a size (#size-cells 0: CPUs) base is a name, not an address, and stays as it
 * is. -ENOENT past the last, -EINVAL malformed, outside the ranges, or more than 64 bits (PCI), -EOVERFLOW if base +
 * bytes wraps. */
int fdt_get_reg(const struct fdt *fdt, fdt_node_t node, unsigned index, uint64_t *out_base,
                uint64_t *out_bytes) MUST_USE;

fdt_node_t fdt_parent(const struct fdt *fdt, fdt_node_t node);
fdt_node_t fdt_find_phandle(const struct fdt *fdt, uint32_t phandle);

/* Entry `index` of the memory reservation block; -ENOENT past the last. */
int fdt_get_reservation(const struct fdt *fdt, unsigned index, uint64_t *out_base, uint64_t *out_bytes) MUST_USE;
