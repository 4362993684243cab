/* SPDX-License-Identifier: MIT */
/*
 * Flattened device trees (Devicetree Specification 0.4, chapter 5). fdt_open() walks the whole blob once through
 * read_token(), the one place that looks at the structure block, which checks every offset against the blob; the
 * functions after it use the same reader, so they cannot leave the blob either. Owns no state, allocates nothing,
 * no lock: the blob must not change while it is open.
 */
#include <parse/fdt.h>

#include <lib/string.h>

#include <k/assert.h>
#include <k/errno.h>

#define FDT_MAGIC 0xd00dfeedu
#define FDT_HEADER_BYTES 40
#define FDT_HEADER_BYTES_V16 36 /* without size_dt_struct */
#define FDT_VERSION_OLDEST 16
#define FDT_VERSION_LATEST 17

#define FDT_BEGIN_NODE 1u
#define FDT_END_NODE 2u
#define FDT_PROP 3u
#define FDT_NOP 4u
#define FDT_END 9u

#define CELL_BYTES 4u
#define RESERVATION_BYTES 16u

/* Deeper trees are refused: it bounds the walk from a node to the root. Trees of real machines are 5 to 8 deep. */
#define FDT_DEPTH_MAX 32

struct token {
    uint32_t kind;
    uint32_t next;     /* offset of the token after this one */
    const char *name;  /* node or property */
    const uint8_t *data;
    uint32_t bytes;    /* of data; for a node, of its name */
};

static uint32_t read_be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint64_t read_be64(const uint8_t *at)
{
    return (uint64_t)read_be32(at) << 32 | read_be32(at + CELL_BYTES);
}

static bool read_node_token(const uint8_t *block, uint32_t end, struct token *out)
{
    const uint8_t *nul = memchr(block + out->next, '\0', end - out->next);

    if (nul == NULL)
        return false;
    out->name = (const char *)block + out->next;
    out->bytes = (uint32_t)(nul - (block + out->next));
    out->next += out->bytes + 1;
    return true;
}

static bool read_prop_token(const struct fdt *fdt, const uint8_t *block, uint32_t end, struct token *out)
{
    uint32_t name_offset;

    if (end - out->next < 2 * CELL_BYTES)
        return false;
    out->bytes = read_be32(block + out->next);
    name_offset = read_be32(block + out->next + CELL_BYTES);
    out->next += 2 * CELL_BYTES;
    if (out->bytes > end - out->next || name_offset >= fdt->strings_bytes)
        return false;
    out->data = block + out->next;
    out->name = (const char *)fdt->blob + fdt->strings_offset + name_offset;
    out->next += out->bytes;
    return true;
}

/* The token at `offset` of the structure block; false if any part of it lies outside. */
static bool read_token(const struct fdt *fdt, uint32_t offset, struct token *out)
{
    const uint8_t *block = fdt->blob + fdt->struct_offset;
    uint32_t end = fdt->struct_bytes;
    bool good;

    if (offset > end || end - offset < CELL_BYTES || !IS_ALIGNED(offset, CELL_BYTES))
        return false;
    *out = (struct token){.kind = read_be32(block + offset), .next = offset + CELL_BYTES};
    switch (out->kind) {
    case FDT_BEGIN_NODE:
        good = read_node_token(block, end, out);
        break;
    case FDT_PROP:
        good = read_prop_token(fdt, block, end, out);
        break;
    case FDT_END_NODE:
    case FDT_NOP:
    case FDT_END:
        return true;
    default:
        return false;
    }
    if (!good || end - out->next < ROUND_UP(out->next, CELL_BYTES) - out->next)
        return false;
    out->next = ROUND_UP(out->next, CELL_BYTES);
    return true;
}

/* The next token that is no FDT_NOP. After fdt_open() it always succeeds, from any node on, up to FDT_END. */
static void next_token(const struct fdt *fdt, uint32_t offset, struct token *out)
{
    do {
        bool good = read_token(fdt, offset, out);

        ASSERT(good);
        offset = out->next;
    } while (out->kind == FDT_NOP);
}

uint32_t fdt_claimed_bytes(const void *blob)
{
    const uint8_t *header = blob;

    return read_be32(header) == FDT_MAGIC ? read_be32(header + 4) : 0;
}

static bool is_inside(uint32_t total, uint32_t offset, uint32_t bytes)
{
    return offset <= total && bytes <= total - offset;
}

/* Take the header apart (section 5.2) and check every block against the total size. */
static int open_header(struct fdt *fdt, const uint8_t *blob, size_t available)
{
    uint32_t total, version;

    if (available < 2 * CELL_BYTES || fdt_claimed_bytes(blob) == 0)
        return -EINVAL;
    total = fdt_claimed_bytes(blob);
    if (total > available)
        return -EOVERFLOW;
    if (total < FDT_HEADER_BYTES_V16)
        return -EINVAL;
    version = read_be32(blob + 20);
    if (version < FDT_VERSION_OLDEST || read_be32(blob + 24) > FDT_VERSION_LATEST)
        return -EPROTO;
    if (version > FDT_VERSION_OLDEST && total < FDT_HEADER_BYTES)
        return -EINVAL;
    *fdt = (struct fdt){
        .blob = blob,
        .bytes = total,
        .struct_offset = read_be32(blob + 8),
        .strings_offset = read_be32(blob + 12),
        .reserve_offset = read_be32(blob + 16),
        .strings_bytes = read_be32(blob + 32),
    };
    if (fdt->struct_offset > total)
        return -EINVAL;
    fdt->struct_bytes = version > FDT_VERSION_OLDEST ? read_be32(blob + 36) : total - fdt->struct_offset;
    if (!is_inside(total, fdt->struct_offset, fdt->struct_bytes) ||
        !is_inside(total, fdt->strings_offset, fdt->strings_bytes))
        return -EINVAL;
    return IS_ALIGNED(fdt->struct_offset, CELL_BYTES) ? 0 : -EINVAL;
}

/* The reservation block (section 5.3) must end with an entry of zeroes inside the blob. */
static int check_reservations(const struct fdt *fdt)
{
    uint32_t offset = fdt->reserve_offset;

    if (!IS_ALIGNED(offset, 8))
        return -EINVAL;
    for (; is_inside(fdt->bytes, offset, RESERVATION_BYTES); offset += RESERVATION_BYTES)
        if (read_be64(fdt->blob + offset) == 0 && read_be64(fdt->blob + offset + 8) == 0)
            return 0;
    return -EINVAL;
}

/* A node's name is some characters without '/' (section 2.2.1); the root's is empty. */
static bool is_node_name(const struct token *token, int depth)
{
    if (depth == 0)
        return token->bytes == 0;
    return token->bytes > 0 && memchr(token->name, '/', token->bytes) == NULL;
}

/* The structure block (section 5.4): one root, balanced, properties before children, FDT_END last. */
static int check_structure(struct fdt *fdt)
{
    bool properties_allowed = false, root_closed = false;
    uint32_t offset = 0;
    int depth = 0; /* open nodes */

    for (;;) {
        struct token token;

        if (!read_token(fdt, offset, &token))
            return -EINVAL;
        offset = token.next;
        switch (token.kind) {
        case FDT_BEGIN_NODE:
            if (root_closed || depth == FDT_DEPTH_MAX || !is_node_name(&token, depth))
                return -EINVAL;
            depth++;
            properties_allowed = true;
            break;
        case FDT_END_NODE:
            if (depth == 0)
                return -EINVAL;
            depth--;
            properties_allowed = false;
            root_closed = depth == 0;
            break;
        case FDT_PROP:
            if (!properties_allowed)
                return -EINVAL;
            break;
        case FDT_END:
            fdt->struct_bytes = offset;
            return root_closed ? 0 : -EINVAL;
        default: /* FDT_NOP: read_token() lets nothing else through */
            break;
        }
    }
}

int fdt_open(struct fdt *fdt, const void *blob, size_t available)
{
    struct token token;
    int error = open_header(fdt, blob, available);

    if (error == 0)
        error = check_reservations(fdt);
    if (error != 0)
        return error;

    /* Property names are terminated if the block that they start in has its last byte zero: cut it there. */
    while (fdt->strings_bytes > 0 && fdt->blob[fdt->strings_offset + fdt->strings_bytes - 1] != '\0')
        fdt->strings_bytes--;
    /* Node 0 is the root: begin the block with it. */
    while (read_token(fdt, 0, &token) && token.kind == FDT_NOP) {
        fdt->struct_offset += CELL_BYTES;
        fdt->struct_bytes -= CELL_BYTES;
    }
    return check_structure(fdt);
}

/* The token behind a node's own, that is its first property, first child or end. */
static void enter_node(const struct fdt *fdt, fdt_node_t node, struct token *out)
{
    bool good = read_token(fdt, node, out);

    ASSERT(good && out->kind == FDT_BEGIN_NODE); /* the caller's node comes from this tree */
}

fdt_node_t fdt_next_node(const struct fdt *fdt, fdt_node_t node, int *depth)
{
    struct token token;
    uint32_t offset;

    enter_node(fdt, node, &token);
    for (;;) {
        offset = token.next;
        next_token(fdt, offset, &token);
        switch (token.kind) {
        case FDT_BEGIN_NODE:
            (*depth)++;
            while (read_be32(fdt->blob + fdt->struct_offset + offset) == FDT_NOP)
                offset += CELL_BYTES;
            return offset;
        case FDT_END_NODE:
            (*depth)--;
            break;
        case FDT_END:
            return FDT_NODE_NONE;
        default:
            break;
        }
    }
}

fdt_node_t fdt_first_child(const struct fdt *fdt, fdt_node_t node)
{
    int depth = 0;
    fdt_node_t next = fdt_next_node(fdt, node, &depth);

    return next != FDT_NODE_NONE && depth == 1 ? next : FDT_NODE_NONE;
}

fdt_node_t fdt_next_sibling(const struct fdt *fdt, fdt_node_t node)
{
    int depth = 0;

    do {
        node = fdt_next_node(fdt, node, &depth);
    } while (node != FDT_NODE_NONE && depth > 0);
    return node != FDT_NODE_NONE && depth == 0 ? node : FDT_NODE_NONE;
}

const char *fdt_node_name(const struct fdt *fdt, fdt_node_t node)
{
    struct token token;

    enter_node(fdt, node, &token);
    return token.name;
}

/* One component of a path against a node's name: whole, or without its unit address. */
static bool name_matches(const char *name, const char *component, size_t length)
{
    if (strncmp(name, component, length) != 0)
        return false;
    return name[length] == '\0' || (name[length] == '@' && memchr(component, '@', length) == NULL);
}

fdt_node_t fdt_find_path(const struct fdt *fdt, const char *path)
{
    fdt_node_t node = 0;

    if (*path != '/')
        return FDT_NODE_NONE;
    while (node != FDT_NODE_NONE) {
        const char *end;

        while (*path == '/')
            path++;
        if (*path == '\0')
            break;
        end = path;
        while (*end != '\0' && *end != '/')
            end++;
        node = fdt_first_child(fdt, node);
        while (node != FDT_NODE_NONE && !name_matches(fdt_node_name(fdt, node), path, (size_t)(end - path)))
            node = fdt_next_sibling(fdt, node);
        path = end;
    }
    return node;
}

bool fdt_is_compatible(const struct fdt *fdt, fdt_node_t node, const char *compatible)
{
    struct fdt_property list;
    size_t length = strlen(compatible) + 1;

    if (fdt_get_property(fdt, node, "compatible", &list) != 0)
        return false;
    while (list.bytes > 0) {
        const uint8_t *nul = memchr(list.data, '\0', list.bytes);
        uint32_t bytes;

        if (nul == NULL)
            return false;
        bytes = (uint32_t)(nul - list.data) + 1;
        if (bytes == length && memcmp(list.data, compatible, length) == 0)
            return true;
        list.data += bytes;
        list.bytes -= bytes;
    }
    return false;
}

fdt_node_t fdt_find_compatible(const struct fdt *fdt, fdt_node_t from, const char *compatible)
{
    int depth = 0;
    fdt_node_t node = from == FDT_NODE_NONE ? 0 : fdt_next_node(fdt, from, &depth);

    while (node != FDT_NODE_NONE && !fdt_is_compatible(fdt, node, compatible))
        node = fdt_next_node(fdt, node, &depth);
    return node;
}

bool fdt_is_enabled(const struct fdt *fdt, fdt_node_t node)
{
    struct fdt_property status;
    const char *text;

    if (fdt_get_property(fdt, node, "status", &status) != 0)
        return true;
    text = fdt_get_string(fdt, node, "status");
    return text != NULL && (strcmp(text, "okay") == 0 || strcmp(text, "ok") == 0);
}

int fdt_get_property(const struct fdt *fdt, fdt_node_t node, const char *name, struct fdt_property *out)
{
    struct token token;

    enter_node(fdt, node, &token);
    for (;;) {
        next_token(fdt, token.next, &token);
        if (token.kind != FDT_PROP)
            return -ENOENT;
        if (strcmp(token.name, name) == 0) {
            *out = (struct fdt_property){.name = token.name, .data = token.data, .bytes = token.bytes};
            return 0;
        }
    }
}

const char *fdt_get_string(const struct fdt *fdt, fdt_node_t node, const char *name)
{
    struct fdt_property property;

    if (fdt_get_property(fdt, node, name, &property) != 0 || memchr(property.data, '\0', property.bytes) == NULL)
        return NULL;
    return (const char *)property.data;
}

int fdt_get_cell(const struct fdt *fdt, fdt_node_t node, const char *name, unsigned index, uint32_t *out)
{
    struct fdt_property property;
    int error = fdt_get_property(fdt, node, name, &property);

    if (error != 0)
        return error;
    if (index >= property.bytes / CELL_BYTES)
        return -EINVAL;
    *out = read_be32(property.data + (size_t)index * CELL_BYTES);
    return 0;
}

int fdt_get_number(const struct fdt *fdt, fdt_node_t node, const char *name, uint64_t *out)
{
    struct fdt_property property;
    int error = fdt_get_property(fdt, node, name, &property);

    if (error != 0)
        return error;
    if (property.bytes == CELL_BYTES)
        *out = read_be32(property.data);
    else if (property.bytes == 2 * CELL_BYTES)
        *out = read_be64(property.data);
    else
        return -EINVAL;
    return 0;
}

/* The nodes from the root to `node`, both included; returns how many. */
static unsigned find_ancestors(const struct fdt *fdt, fdt_node_t node, fdt_node_t ancestors[FDT_DEPTH_MAX])
{
    fdt_node_t at = 0;
    int depth = 0;

    while (at != FDT_NODE_NONE) {
        ancestors[depth] = at;
        if (at == node)
            return (unsigned)depth + 1;
        at = fdt_next_node(fdt, at, &depth);
    }
    return 0;
}

fdt_node_t fdt_parent(const struct fdt *fdt, fdt_node_t node)
{
    fdt_node_t ancestors[FDT_DEPTH_MAX];
    unsigned count = find_ancestors(fdt, node, ancestors);

    return count < 2 ? FDT_NODE_NONE : ancestors[count - 2];
}

fdt_node_t fdt_find_phandle(const struct fdt *fdt, uint32_t phandle)
{
    fdt_node_t node = 0;
    int depth = 0;
    uint32_t cell;

    if (phandle == 0 || phandle == UINT32_MAX)
        return FDT_NODE_NONE;
    while (node != FDT_NODE_NONE) {
        if (fdt_get_cell(fdt, node, "phandle", 0, &cell) == 0 && cell == phandle)
            break;
        if (fdt_get_cell(fdt, node, "linux,phandle", 0, &cell) == 0 && cell == phandle)
            break; /* the name that blobs of old compilers use */
        node = fdt_next_node(fdt, node, &depth);
    }
    return node;
}

int fdt_get_reservation(const struct fdt *fdt, unsigned index, uint64_t *out_base, uint64_t *out_bytes)
{
    const uint8_t *entry = fdt->blob + fdt->reserve_offset;

    for (;; entry += RESERVATION_BYTES) {
        uint64_t base = read_be64(entry), bytes = read_be64(entry + 8);

        if (base == 0 && bytes == 0)
            return -ENOENT;
        if (index-- == 0) {
            *out_base = base;
            *out_bytes = bytes;
            return 0;
        }
    }
}

/* How many cells the numbers in the children's "reg" have (section 2.3.5). */
struct cells {
    uint32_t address;
    uint32_t size;
};

static int read_cells(const struct fdt *fdt, fdt_node_t bus, struct cells *out)
{
    *out = (struct cells){.address = 2, .size = 1};
    if (fdt_get_cell(fdt, bus, "#address-cells", 0, &out->address) == -EINVAL ||
        fdt_get_cell(fdt, bus, "#size-cells", 0, &out->size) == -EINVAL)
        return -EINVAL;
    /* Three address cells (PCI) do not fit a number. */
    return out->address >= 1 && out->address <= 2 && out->size <= 2 ? 0 : -EINVAL;
}

/* Take a number of 0, 1 or 2 cells. */
static uint64_t take_number(const uint8_t **at, uint32_t cells)
{
    uint64_t number = 0;

    for (; cells > 0; cells--, *at += CELL_BYTES)
        number = number << 32 | read_be32(*at);
    return number;
}

/* Entry `index` of "reg" in the address space of the bus that the node sits on. */
static int read_reg(const struct fdt *fdt, fdt_node_t node, unsigned index, const struct cells *cells,
                    uint64_t *out_base, uint64_t *out_bytes)
{
    uint32_t entry_bytes = (cells->address + cells->size) * CELL_BYTES;
    struct fdt_property reg;
    const uint8_t *at;

    if (fdt_get_property(fdt, node, "reg", &reg) != 0)
        return -ENOENT;
    if (reg.bytes % entry_bytes != 0)
        return -EINVAL;
    if (index >= reg.bytes / entry_bytes)
        return -ENOENT;
    at = reg.data + (size_t)index * entry_bytes;
    *out_base = take_number(&at, cells->address);
    *out_bytes = take_number(&at, cells->size);
    return *out_base + *out_bytes < *out_base ? -EOVERFLOW : 0;
}

/* From the address space below `bus` to the one that it sits on, by its "ranges" (section 2.3.8). */
static int translate(const struct fdt *fdt, fdt_node_t bus, const struct cells *inner, const struct cells *outer,
                     uint64_t bytes, uint64_t *base)
{
    uint32_t entry_bytes = (inner->address + outer->address + inner->size) * CELL_BYTES;
    struct fdt_property ranges;

    if (fdt_get_property(fdt, bus, "ranges", &ranges) != 0)
        return -EINVAL; /* the two address spaces are not connected */
    if (ranges.bytes == 0)
        return 0; /* they are the same */
    if (ranges.bytes % entry_bytes != 0)
        return -EINVAL;
    for (const uint8_t *at = ranges.data; at < ranges.data + ranges.bytes;) {
        uint64_t from = take_number(&at, inner->address);
        uint64_t to = take_number(&at, outer->address);
        uint64_t length = take_number(&at, inner->size);

        if (*base >= from && *base - from <= length && bytes <= length - (*base - from) &&
            (bytes > 0 || *base - from < length)) {
            *base = to + (*base - from);
            return *base < to || *base + bytes < *base ? -EOVERFLOW : 0;
        }
    }
    return -EINVAL;
}

int fdt_get_reg(const struct fdt *fdt, fdt_node_t node, unsigned index, uint64_t *out_base, uint64_t *out_bytes)
{
    fdt_node_t ancestors[FDT_DEPTH_MAX];
    unsigned count = find_ancestors(fdt, node, ancestors);
    struct cells inner, outer;
    uint64_t base, bytes;
    int error;

    ASSERT(count > 0);
    if (count < 2)
        return -ENOENT; /* the root sits on no bus */
    error = read_cells(fdt, ancestors[count - 2], &inner);
    if (error == 0)
        error = read_reg(fdt, node, index, &inner, &base, &bytes);
    if (error != 0)
        return error;

    /* Numbers without a size are names of things (CPUs, say), not addresses; the root's space is the CPUs' own. */
    for (unsigned bus = count - 2; bus > 0 && inner.size > 0; bus--) {
        error = read_cells(fdt, ancestors[bus - 1], &outer);
        if (error == 0)
            error = translate(fdt, ancestors[bus], &inner, &outer, bytes, &base);
        if (error != 0)
            return error;
        inner = outer;
    }
    *out_base = base;
    *out_bytes = bytes;
    return 0;
}
