/* SPDX-License-Identifier: MIT */
/*
 * procfs. An inode says by `data` what it is: a struct node, which holds its process and goes with it. Three kinds of
 * directories: the root, those of processes, and their "fd"; all are listed by what the providers say at that moment.
 */
#include <fs/procfs.h>

#include <fs/fd.h>
#include <fs/file.h>
#include <fs/name.h>
#include <k/errno.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <mm/kmalloc.h>

#define PROC_MAGIC 0x9fa0u
#define NUMBER_MAX 9999999 /* of a process or a descriptor: as many digits as are looked at */
#define TEXT_BYTES_MAX ((size_t)4 << 20)

enum node_kind { NODE_ROOT, NODE_PROCESS, NODE_FD_DIR, NODE_FILE, NODE_FD };

struct node {
    enum node_kind kind;
    const struct procfs_file *file; /* NODE_FILE */
    void *process;                  /* counted; NULL: the system's */
    int number;                     /* of the process, or the descriptor */
};

static struct {
    const struct procfs_file *system[PROCFS_FILES_MAX], *process[PROCFS_FILES_MAX];
    unsigned systems, processes;
    const struct procfs_processes *of;
    struct filesystem fs;
} proc = {
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

void procfs_set_processes(const struct procfs_processes *processes)
{
    proc.of = processes;
}

/* ---- Text ---- */

/* Room for so many bytes more; false: there is none. */
static bool make_room(struct procfs_text *text, size_t bytes)
{
    size_t room = MAX(text->room, (size_t)256);

    if (text->has_failed || text->used + bytes <= text->room)
        return !text->has_failed;
    while (room < text->used + bytes)
        room *= 2;
    char *larger = room <= TEXT_BYTES_MAX ? kmalloc(room) : NULL;

    if (larger == NULL) {
        text->has_failed = true;
        return false;
    }
    memcpy(larger, text->bytes, text->used);
    kfree(text->bytes);
    text->bytes = larger;
    text->room = room;
    return true;
}

void procfs_write(struct procfs_text *text, const void *bytes, size_t count)
{
    if (!make_room(text, count))
        return;
    memcpy(text->bytes + text->used, bytes, count);
    text->used += count;
}

void procfs_print(struct procfs_text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int bytes = fmt_vprint(NULL, 0, format, args);

    va_end(args);
    if (bytes < 0 || !make_room(text, (size_t)bytes + 1)) /* the NUL is overwritten by what follows */
        return;
    va_start(args, format);
    (void)fmt_vprint(text->bytes + text->used, (size_t)bytes + 1, format, args);
    va_end(args);
    text->used += (size_t)bytes;
}

/* ---- Inodes ---- */

/* The reference to the process is the node's from now on, or dropped. link: NULL, or of a symlink by text. */
static int make_inode(struct node what, uint32_t mode, const char *link, struct inode **out)
{
    struct inode_spec spec = {.mode = mode, .link = link};
    struct node *node = kmalloc(sizeof *node);
    int error = node == NULL ? -ENOMEM : 0;

    if (what.process != NULL)
        proc.of->owner(what.process, &spec.user, &spec.group);
    if (error == 0)
        error = inode_create(&proc.fs, &procfs_ops, &spec, out);
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

static uint32_t mode_of(const struct procfs_file *file)
{
    bool is_link = file->print == NULL;

    return (is_link ? S_IFLNK : S_IFREG) | (file->mode != 0 ? file->mode : is_link ? 0777 : 0444);
}

static int look_up_file(const struct procfs_file *const files[], unsigned count, const char *text, size_t bytes,
                        void *process, struct inode **out)
{
    for (unsigned i = 0; i < count; i++) {
        if (strlen(files[i]->name) != bytes || memcmp(files[i]->name, text, bytes) != 0)
            continue;
        char target[64];
        int64_t length = files[i]->link_text == NULL ? 0 : files[i]->link_text(process, target, sizeof target - 1);

        if (length < 0)
            break;
        target[length] = 0;
        return make_inode((struct node){.kind = NODE_FILE, .file = files[i], .process = process}, mode_of(files[i]),
                          files[i]->link_text != NULL ? target : NULL, out);
    }
    if (process != NULL)
        proc.of->put(process);
    return -ENOENT;
}

/* A reference to the process of a node that has one, and that still exists. */
static void *get_again(const struct node *node)
{
    return proc.of->get(node->number);
}

static int look_up_in_root(const char *text, size_t bytes, struct inode **out)
{
    int number = parse_number(text, bytes);
    void *process = number > 0 && proc.of != NULL ? proc.of->get(number) : NULL;

    if (process != NULL)
        return make_inode((struct node){.kind = NODE_PROCESS, .process = process, .number = number}, S_IFDIR | 0555,
                          NULL, out);
    return look_up_file(proc.system, proc.systems, text, bytes, NULL, out);
}

static int look_up_in_process(const struct node *node, const char *text, size_t bytes, struct inode **out)
{
    void *process = get_again(node);

    if (process == NULL)
        return -ENOENT;
    if (bytes == 2 && memcmp(text, "fd", 2) == 0)
        return make_inode((struct node){.kind = NODE_FD_DIR, .process = process, .number = node->number},
                          S_IFDIR | 0500, NULL, out);
    return look_up_file(proc.process, proc.processes, text, bytes, process, out);
}

/* The open file of a number, counted, or NULL. */
static struct file *file_of(const struct node *node, int number)
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
    struct file *file = file_of(node, number);
    void *process;

    if (file == NULL)
        return -ENOENT;
    file_put(file);
    process = get_again(node);
    if (process == NULL)
        return -ENOENT;
    return make_inode((struct node){.kind = NODE_FD, .process = process, .number = number}, S_IFLNK | 0700, NULL, out);
}

static int lookup(struct inode *dir, const char *text, size_t bytes, struct inode **out)
{
    const struct node *node = dir->data;

    if (node->kind == NODE_ROOT)
        return look_up_in_root(text, bytes, out);
    if (node->kind == NODE_PROCESS)
        return look_up_in_process(node, text, bytes, out);
    return look_up_fd(node, text, bytes, out);
}

/* ---- Links ---- */

static int follow(struct inode *link, struct name **out)
{
    const struct node *node = link->data;

    if (node->kind == NODE_FILE)
        return node->file->link != NULL ? node->file->link(node->process, out) : -ENOENT;
    struct file *file = file_of(node, node->number);
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

        bytes = fmt_print(text, sizeof text, "%s:[%llu]", inode_is(file->inode, S_IFIFO) ? "pipe" : "anon_inode",
                          (unsigned long long)file->inode->number);
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
    file = file_of(node, node->number);
    if (file == NULL)
        return -ENOENT;
    bytes = file_text(file, to, room);
    file_put(file);
    return bytes;
}

/* ---- Files ---- */

static int64_t read_text(struct file *file, struct io_span *to, uint64_t *position)
{
    const struct procfs_text *text = file->data;
    size_t bytes = *position < text->used ? MIN(text->used - (size_t)*position, to->left) : 0;
    size_t done = bytes > 0 ? io_copy_to(to, text->bytes + *position, bytes) : 0;

    *position += done;
    return io_result(done, bytes > 0 ? -EFAULT : 0);
}

static uint64_t end_of_text(struct file *file)
{
    return ((const struct procfs_text *)file->data)->used;
}

static void release_text(struct file *file)
{
    struct procfs_text *text = file->data;

    kfree(text->bytes);
    kfree(text);
}

static const struct file_ops text_ops = {.read = read_text, .end = end_of_text, .release = release_text};

static int print(const struct node *node, struct procfs_text *text)
{
    int error = node->file->print(text, node->process);

    if (error == 0 && text->has_failed)
        error = -ENOMEM;
    return error;
}

static int open_file(struct inode *inode, struct name *name, uint32_t flags, struct file **out)
{
    struct procfs_text *text;
    int error;

    if ((flags & O_ACCMODE) != O_RDONLY)
        return -EACCES;
    text = kzalloc(sizeof *text);
    error = text == NULL ? -ENOMEM : print(inode->data, text);
    if (error == 0)
        error = file_create(inode, name, &text_ops, flags, out);
    if (error != 0) {
        if (text != NULL)
            kfree(text->bytes);
        kfree(text);
        return error;
    }
    (*out)->data = text;
    return 0;
}

/* ---- Listings. Positions: 0 and 1 the dots, then the files by their places, then the numbers. ---- */

#define POSITION_NUMBERS 256u
_Static_assert(POSITION_NUMBERS > PROCFS_FILES_MAX + 3, "files have places below the numbers");

static bool emit(struct file *file, struct dir_sink *sink, const char *name, uint32_t type, uint64_t next)
{
    /* A number that nobody else has: these inodes do not exist until they are looked up. */
    const struct dir_entry entry = {name, strlen(name), file->inode->number << 24 | next, type, next};

    return sink->emit(sink, &entry);
}

static bool emit_number(struct file *file, struct dir_sink *sink, int number, uint32_t type)
{
    char text[12];

    (void)fmt_print(text, sizeof text, "%d", number);
    return emit(file, sink, text, type, POSITION_NUMBERS + (uint64_t)number + 1);
}

/* What stands before the numbers. False: the sink is full. */
static bool emit_files(struct file *file, struct dir_sink *sink, const struct node *node)
{
    const struct procfs_file *const *files = node->kind == NODE_ROOT ? proc.system : proc.process;
    unsigned count = node->kind == NODE_ROOT ? proc.systems : node->kind == NODE_PROCESS ? proc.processes : 0;

    while (file->position < POSITION_NUMBERS) {
        uint64_t at = file->position;
        bool fits = true;

        if (at < 2)
            fits = emit(file, sink, at == 0 ? "." : "..", S_IFDIR, at + 1);
        else if (at - 2 < count)
            fits = emit(file, sink, files[at - 2]->name, mode_of(files[at - 2]) & S_IFMT, at + 1);
        else if (at - 2 == count && node->kind == NODE_PROCESS)
            fits = emit(file, sink, "fd", S_IFDIR, at + 1);
        else
            file->position = POSITION_NUMBERS;
        if (!fits)
            return false;
    }
    return true;
}

static int iterate(struct file *file, struct dir_sink *sink)
{
    const struct node *node = file->inode->data;
    struct fd_table *table = NULL;
    int number;

    if (!emit_files(file, sink, node) || node->kind == NODE_PROCESS || proc.of == NULL)
        return 0;
    if (node->kind == NODE_FD_DIR && (table = proc.of->files(node->process)) == NULL)
        return 0;
    do {
        int from = (int)MIN(file->position - POSITION_NUMBERS, (uint64_t)NUMBER_MAX);

        number = table != NULL ? fd_next(table, (unsigned)from) : proc.of->next(from);
    } while (number >= 0 && emit_number(file, sink, number, table != NULL ? S_IFLNK : S_IFDIR));
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
    return inode_is(inode, S_IFDIR) ? open_dir(inode, name, flags, out) : open_file(inode, name, flags, out);
}

static const struct inode_ops procfs_ops = {
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

const struct filesystem_type procfs_type = {"proc", create, .is_single = true};

void procfs_init(void)
{
    struct inode *root;
    int error = make_inode((struct node){.kind = NODE_ROOT}, S_IFDIR | 0555, NULL, &root);

    if (error == 0) {
        error = name_create(NULL, "", 0, root, &proc.fs.root);
        inode_put(root);
    }
    if (error != 0)
        panic("out of memory at boot: cannot make procfs, error %d", error);
    proc.fs.device = fs_next_device();
    filesystem_register(&procfs_type);
}
