/* SPDX-License-Identifier: MIT */
/*
 * procfs. An inode says by `data` what it is: a struct node, which holds its process and goes with it. Directories are
 * listed by what the providers say at that moment: the system's files, with folders wherever names have a '/'; those of
 * a process, and in its "task" those of a thread; its descriptors. The files' texts are procfs_file.c's.
 */
#include "procfs_priv.h"

#include <fs/fd.h>
#include <fs/file.h>
#include <fs/name.h>
#include <k/errno.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <mm/kmalloc.h>

#define PROC_MAGIC 0x9fa0u
#define SYSFS_MAGIC 0x62656572u
#define NUMBER_MAX 9999999 /* of a process or a descriptor: as many digits as are looked at */

static struct {
    const struct procfs_file *system[PROCFS_FILES_MAX], *process[PROCFS_FILES_MAX];
    unsigned systems, processes;
    const struct procfs_file *sysfs;
    unsigned sysfs_files;
    const struct procfs_processes *of;
    struct filesystem fs, sys;
} proc = {
    .sys = {.type = "sysfs", .magic = SYSFS_MAGIC, .is_dynamic = true, .inodes_max = UINT64_MAX,
            .link = LIST_INIT(proc.sys.link)},
    .fs = {.type = "proc", .magic = PROC_MAGIC, .is_dynamic = true, .inodes_max = UINT64_MAX,
           .link = LIST_INIT(proc.fs.link)},
};

static const struct inode_ops procfs_ops;

void procfs_register(const struct procfs_file *file)
{
    ASSERT(proc.systems < PROCFS_FILES_MAX);
    proc.system[proc.systems++] = file;
}

void procfs_register_process(const struct procfs_file *file)
{
    ASSERT(proc.processes < PROCFS_FILES_MAX);
    proc.process[proc.processes++] = file;
}

void sysfs_set_files(const struct procfs_file *files, unsigned count)
{
    ASSERT(count <= SYSFS_FILES_MAX);
    proc.sysfs = files;
    proc.sysfs_files = count;
}

void procfs_set_processes(const struct procfs_processes *processes)
{
    proc.of = processes;
}

/* ---- Inodes ---- */

/* The reference to the process is the node's from now on, or dropped. link: NULL, or of a symlink by text. */
static int make_inode(struct node what, uint32_t mode, const char *link, struct inode **out)
{
    struct inode_spec spec = {.mode = mode, .link = link};
    struct node *node = kmalloc(sizeof *node);
    int error = node == NULL ? -ENOMEM : 0;

    if (what.process != NULL)
        proc.of->owner(what.process, (mode & S_IFMT) == S_IFDIR, &spec.user, &spec.group);
    if (error == 0)
        error = inode_create(what.fs != NULL ? what.fs : &proc.fs, &procfs_ops, &spec, out);
    if (error != 0) {
        kfree(node);
        if (what.process != NULL)
            proc.of->put(what.process);
        return error;
    }
    *node = what;
    (*out)->data = node;
    (*out)->links = (mode & S_IFMT) == S_IFDIR ? 2 : 1;
    return 0;
}

static void destroy(struct inode *inode)
{
    struct node *node = inode->data;

    if (node->process != NULL)
        proc.of->put(node->process);
    kfree(node);
}

/* A decimal number without leading zeros, or -1. */
static int parse_number(const char *text, size_t bytes)
{
    int value = 0;

    if (bytes == 0 || bytes > 7 || (text[0] == '0' && bytes > 1))
        return -1;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + text[i] - '0';
    }
    return value;
}

/* ---- Look-ups ---- */

/* What processes have besides files. */
static const struct special {
    const char *name;
    enum node_kind kind;
    uint32_t mode;
    bool of_threads; /* and not only of processes */
} specials[] = {
    {"fd", NODE_FD_DIR, S_IFDIR | 0500, true},
    {"fdinfo", NODE_FDINFO_DIR, S_IFDIR | 0500, true},
    {"task", NODE_TASKS, S_IFDIR | 0555, false},
};

static uint32_t mode_of(const struct procfs_file *file)
{
    bool is_link = file->print == NULL && file->print_numbered == NULL;

    return (is_link ? S_IFLNK : S_IFREG) | (file->mode != 0 ? file->mode : is_link ? 0777 : 0444);
}

/* How many files a folder's are among, and the one at a place. */
static unsigned count_of(const struct node *node)
{
    if (node->kind != NODE_SYSTEM)
        return proc.processes;
    return node->fs != NULL ? proc.sysfs_files : proc.systems;
}

static const struct procfs_file *file_at(const struct node *node, unsigned place)
{
    if (node->kind != NODE_SYSTEM)
        return proc.process[place];
    return node->fs != NULL ? &proc.sysfs[place] : proc.system[place];
}

/* What a file, or a folder on the way to it, is called in that folder: bytes of *out_bytes; NULL: it is elsewhere. */
static const char *name_in(const struct procfs_file *file, const struct node *folder, size_t *out_bytes)
{
    const char *name = file->name + folder->path_bytes;

    if (strlen(file->name) < folder->path_bytes || memcmp(file->name, folder->path, folder->path_bytes) != 0)
        return NULL;
    for (*out_bytes = 0; name[*out_bytes] != 0 && name[*out_bytes] != '/'; ++*out_bytes)
        continue;
    return name;
}

static const struct procfs_file *find_file(const struct node *folder, const char *text, size_t bytes, bool *out_is_file)
{
    unsigned count = count_of(folder);

    for (unsigned i = 0; i < count; i++) {
        const struct procfs_file *file = file_at(folder, i);
        size_t length;
        const char *name = name_in(file, folder, &length);

        if (name == NULL || length != bytes || memcmp(name, text, bytes) != 0)
            continue;
        *out_is_file = name[bytes] == 0;
        return file;
    }
    return NULL;
}

/* A file of the folder, or a folder below it. The reference to the process becomes the inode's, or is dropped. */
static int look_up_file(const struct node *folder, const char *text, size_t bytes, void *process, struct inode **out)
{
    bool is_file = false;
    const struct procfs_file *file = find_file(folder, text, bytes, &is_file);
    struct node found = *folder;
    char target[64];
    int64_t length = 0;

    found.process = process;
    if (file != NULL && !is_file) {
        found.path = file->name;
        found.path_bytes = folder->path_bytes + bytes + 1;
        return make_inode(found, S_IFDIR | 0555, NULL, out);
    }
    if (file != NULL && file->link_text != NULL)
        length = file->link_text(process, target, sizeof target - 1);
    if (file == NULL || length < 0) {
        if (process != NULL)
            proc.of->put(process);
        return -ENOENT;
    }
    target[length] = 0;
    found.kind = NODE_FILE;
    found.file = file;
    return make_inode(found, mode_of(file), file->link_text != NULL ? target : NULL, out);
}

/* A reference to the process of a node that has one, and that still exists. */
static void *get_again(const struct node *node)
{
    return node->is_thread ? proc.of->get_thread(node->process, node->number) : proc.of->get(node->number);
}

static int look_up_in_system(const struct node *node, const char *text, size_t bytes, struct inode **out)
{
    int number = node->path_bytes == 0 && node->fs == NULL ? parse_number(text, bytes) : -1;
    void *process = number > 0 && proc.of != NULL ? proc.of->get(number) : NULL;

    if (process != NULL)
        return make_inode((struct node){.kind = NODE_PROCESS, .path = "", .process = process, .number = number},
                          S_IFDIR | 0555, NULL, out);
    return look_up_file(node, text, bytes, NULL, out);
}

static int look_up_in_process(const struct node *node, const char *text, size_t bytes, struct inode **out)
{
    void *process = get_again(node);

    if (process == NULL)
        return -ENOENT;
    for (unsigned i = 0; i < ARRAY_COUNT(specials) && node->path_bytes == 0; i++) {
        struct node found = {.kind = specials[i].kind, .path = "", .process = process, .number = node->number,
                             .is_thread = node->is_thread};

        if (strlen(specials[i].name) == bytes && memcmp(specials[i].name, text, bytes) == 0 &&
            (specials[i].of_threads || !node->is_thread))
            return make_inode(found, specials[i].mode, NULL, out);
    }
    return look_up_file(node, text, bytes, process, out);
}

static int look_up_thread(const struct node *node, const char *text, size_t bytes, struct inode **out)
{
    int number = parse_number(text, bytes);
    void *thread = number > 0 ? proc.of->get_thread(node->process, number) : NULL;

    if (thread == NULL)
        return -ENOENT;
    return make_inode((struct node){.kind = NODE_PROCESS, .path = "", .process = thread, .number = number,
                                    .is_thread = true},
                      S_IFDIR | 0555, NULL, out);
}

/* The open file of a number, counted, or NULL. */
struct file *procfs_file_of(const struct node *node, int number)
{
    struct fd_table *table = number >= 0 ? proc.of->files(node->process) : NULL;
    struct file *file = table != NULL ? fd_get(table, (unsigned)number) : NULL;

    if (table != NULL)
        fd_table_put(table);
    return file;
}

static int look_up_fd(const struct node *node, const char *text, size_t bytes, struct inode **out)
{
    int number = parse_number(text, bytes);
    struct file *file = procfs_file_of(node, number);
    void *process;

    if (file == NULL)
        return -ENOENT;
    file_put(file);
    process = get_again(node);
    if (process == NULL)
        return -ENOENT;
    bool is_link = node->kind == NODE_FD_DIR;

    return make_inode((struct node){.kind = is_link ? NODE_FD : NODE_FDINFO, .process = process, .number = number},
                      is_link ? S_IFLNK | 0700 : S_IFREG | 0400, NULL, out);
}

static int lookup(struct inode *dir, const char *text, size_t bytes, struct inode **out)
{
    const struct node *node = dir->data;

    if (node->kind == NODE_SYSTEM)
        return look_up_in_system(node, text, bytes, out);
    if (node->kind == NODE_PROCESS)
        return look_up_in_process(node, text, bytes, out);
    if (node->kind == NODE_TASKS)
        return look_up_thread(node, text, bytes, out);
    return look_up_fd(node, text, bytes, out);
}

/* ---- Links ---- */

static int follow(struct inode *link, struct name **out)
{
    const struct node *node = link->data;

    if (node->kind == NODE_FILE)
        return node->file->link != NULL ? node->file->link(node->process, out) : -ENOENT;
    struct file *file = procfs_file_of(node, node->number);
    int error = 0;

    if (file == NULL)
        return -ENOENT;
    if (file->name != NULL) {
        name_get(file->name);
        *out = file->name;
    } else { /* a pipe: a name for as long as somebody is on the way there */
        error = name_create(NULL, "", 0, file->inode, out);
    }
    file_put(file);
    return error;
}

/* Neither a path nor a root: what follow() made up. */
static bool has_no_path(const struct file *file)
{
    return file->name == NULL || (file->name->parent == NULL && file->inode->fs->root != file->name);
}

static int64_t file_text(struct file *file, char *to, size_t room)
{
    struct name *root;
    int64_t bytes;

    if (has_no_path(file)) {
        char text[40];

        const char *kind = inode_is(file->inode, S_IFIFO)   ? "pipe"
                           : inode_is(file->inode, S_IFSOCK) ? "socket"
                                                             : "anon_inode";

        bytes = fmt_print(text, sizeof text, "%s:[%llu]", kind, (unsigned long long)file->inode->number);
        bytes = MIN(bytes, (int64_t)room);
        memcpy(to, text, (size_t)bytes);
        return bytes;
    }
    root = fs_root();
    bytes = name_path(file->name, root, true, to, room);
    name_put(root);
    return bytes;
}

static int64_t read_link(struct inode *link, char *to, size_t room)
{
    const struct node *node = link->data;
    struct name *name, *root;
    struct file *file;
    int64_t bytes;

    if (node->kind == NODE_FILE) {
        bytes = follow(link, &name);
        if (bytes != 0)
            return bytes;
        root = fs_root();
        bytes = name_path(name, root, true, to, room);
        name_put(root);
        name_put(name);
        return bytes;
    }
    file = procfs_file_of(node, node->number);
    if (file == NULL)
        return -ENOENT;
    bytes = file_text(file, to, room);
    file_put(file);
    return bytes;
}

/* ---- Listings. Positions: 0 and 1 the dots, then the files by their places, then the numbers. ---- */

#define POSITION_NUMBERS 16384u
_Static_assert(POSITION_NUMBERS > MAX(PROCFS_FILES_MAX, SYSFS_FILES_MAX) + 2 + ARRAY_COUNT(specials),
               "files have places below the numbers");

static bool emit_bytes(struct file *file, struct dir_sink *sink, const char *name, size_t bytes, uint32_t type,
                       uint64_t next)
{
    /* A number that nobody else has: these inodes do not exist until they are looked up. */
    const struct dir_entry entry = {name, bytes, file->inode->number << 24 | next, type, next};

    return sink->emit(sink, &entry);
}

static bool emit(struct file *file, struct dir_sink *sink, const char *name, uint32_t type, uint64_t next)
{
    return emit_bytes(file, sink, name, strlen(name), type, next);
}

static bool emit_number(struct file *file, struct dir_sink *sink, int number, uint32_t type)
{
    char text[12];

    (void)fmt_print(text, sizeof text, "%d", number);
    return emit(file, sink, text, type, POSITION_NUMBERS + (uint64_t)number + 1);
}

/* The file at that place is the first one of its name in this folder. */
static bool emit_file(struct file *file, struct dir_sink *sink, const struct node *node, unsigned place)
{
    const struct procfs_file *at = file_at(node, place);
    bool is_file = false;
    size_t bytes = 0;
    const char *name = name_in(at, node, &bytes);

    if (name == NULL || find_file(node, name, bytes, &is_file) != at) {
        file->position++;
        return true;
    }
    return emit_bytes(file, sink, name, bytes, is_file ? mode_of(at) & S_IFMT : S_IFDIR, file->position + 1);
}

/* What stands before the numbers. False: the sink is full. */
static bool emit_files(struct file *file, struct dir_sink *sink, const struct node *node)
{
    unsigned count = 0, special_count = node->kind == NODE_PROCESS && node->path_bytes == 0 ? ARRAY_COUNT(specials) : 0;

    if (node->kind == NODE_SYSTEM || node->kind == NODE_PROCESS)
        count = count_of(node);
    while (file->position < POSITION_NUMBERS) {
        uint64_t at = file->position;
        bool fits = true;

        if (at < 2)
            fits = emit(file, sink, at == 0 ? "." : "..", S_IFDIR, at + 1);
        else if (at - 2 < count)
            fits = emit_file(file, sink, node, (unsigned)at - 2);
        else if (at - 2 - count >= special_count)
            file->position = POSITION_NUMBERS;
        else if (specials[at - 2 - count].of_threads || !node->is_thread)
            fits = emit(file, sink, specials[at - 2 - count].name, S_IFDIR, at + 1);
        else
            file->position++;
        if (!fits)
            return false;
    }
    return true;
}

/* The lowest number at or above `from` that is in such a folder. */
static int next_number(const struct node *node, struct fd_table *table, int from)
{
    if (table != NULL)
        return fd_next(table, (unsigned)from);
    return node->kind == NODE_TASKS ? proc.of->next_thread(node->process, from) : proc.of->next(from);
}

static int iterate(struct file *file, struct dir_sink *sink)
{
    const struct node *node = file->inode->data;
    bool has_table = node->kind == NODE_FD_DIR || node->kind == NODE_FDINFO_DIR;
    uint32_t type = node->kind == NODE_FD_DIR ? S_IFLNK : has_table ? S_IFREG : S_IFDIR;
    struct fd_table *table = NULL;
    int number;

    if (!emit_files(file, sink, node) || node->kind == NODE_PROCESS || node->path_bytes != 0 || node->fs != NULL ||
        proc.of == NULL)
        return 0;
    if (has_table && (table = proc.of->files(node->process)) == NULL)
        return 0;
    do {
        int from = (int)MIN(file->position - POSITION_NUMBERS, (uint64_t)NUMBER_MAX);

        number = next_number(node, table, from);
    } while (number >= 0 && emit_number(file, sink, number, type));
    if (table != NULL)
        fd_table_put(table);
    return 0;
}

static uint64_t end_of_listing(struct file *file)
{
    (void)file;
    return POSITION_NUMBERS + NUMBER_MAX;
}

static const struct file_ops listing_ops = {.iterate = iterate, .end = end_of_listing};

static int open_dir(struct inode *inode, struct name *name, uint32_t flags, struct file **out)
{
    return file_create(inode, name, &listing_ops, flags, out);
}

static int open_any(struct inode *inode, struct name *name, uint32_t flags, struct file **out)
{
    return inode_is(inode, S_IFDIR) ? open_dir(inode, name, flags, out) : procfs_open_file(inode, name, flags, out);
}

/* O_TRUNC, as a shell has it for what it writes to. */
static int resize(struct inode *inode, uint64_t bytes)
{
    const struct node *node = inode->data;

    (void)bytes;
    return node->kind == NODE_FILE && node->file->write != NULL ? 0 : -EINVAL;
}

static const struct inode_ops procfs_ops = {
    .resize = resize,
    .lookup = lookup,
    .follow = follow,
    .read_link = read_link,
    .open = open_any,
    .destroy = destroy,
};

/* ---- The file system ---- */

static int create(const char *options, struct filesystem **out)
{
    (void)options;
    *out = &proc.fs;
    return 0;
}

static int create_sysfs(const char *options, struct filesystem **out)
{
    (void)options;
    *out = &proc.sys;
    return 0;
}

const struct filesystem_type procfs_type = {"proc", create, .is_single = true};
const struct filesystem_type sysfs_type = {"sysfs", create_sysfs, .is_single = true};

/* fs NULL: procfs. */
static void make_root(struct filesystem *fs, struct name **out)
{
    struct inode *root;
    int error = make_inode((struct node){.kind = NODE_SYSTEM, .path = "", .fs = fs}, S_IFDIR | 0555, NULL, &root);

    if (error == 0) {
        error = name_create(NULL, "", 0, root, out);
        inode_put(root);
    }
    if (error != 0)
        panic("out of memory at boot: cannot make procfs, error %d", error);
}

void procfs_init(void)
{
    make_root(NULL, &proc.fs.root);
    make_root(&proc.sys, &proc.sys.root);
    proc.fs.device = fs_next_device();
    proc.sys.device = fs_next_device();
    filesystem_register(&procfs_type);
    filesystem_register(&sysfs_type);
}
