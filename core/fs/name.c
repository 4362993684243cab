/* SPDX-License-Identifier: MIT */
/*
 * The tree of names. Each directory has its names in two trees: by hash and text for look-ups, and by position for
 * readers, which go on where they were whatever comes and goes meanwhile: positions are given once, in rising order.
 *
 * Parents, texts and mounts are read by walks up, which cannot lock the directories on the way in that direction: one
 * spinlock guards all of them.
 */
#include <fs/name.h>

#include <fs/filesystem.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/slab.h>

static struct slab_cache name_cache;
static struct spinlock names_lock = SPINLOCK_INIT(LOCK_NAMES);

void name_init(void)
{
    slab_cache_init(&name_cache, "name", sizeof(struct name), _Alignof(struct name));
}

/* FNV-1a. Names of one directory that collide are still told apart, by their text. */
static uint32_t hash_of(const char *text, size_t bytes)
{
    uint32_t hash = UINT32_C(2166136261);

    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (uint8_t)text[i]) * UINT32_C(16777619);
    return hash;
}

/* ---- Life ---- */

int name_create(struct name *parent, const char *text, size_t bytes, struct inode *inode, struct name **out)
{
    struct name *name = slab_alloc(&name_cache);

    if (name == NULL)
        return -ENOMEM;
    name->text = kmalloc(bytes + 1);
    if (name->text == NULL) {
        slab_free(&name_cache, name);
        return -ENOMEM;
    }
    memcpy(name->text, text, bytes);
    name->text[bytes] = 0;
    name->text_bytes = (uint16_t)bytes;
    store_relaxed(&name->refs, 1);
    inode_get(inode);
    name->inode = inode;
    name->is_dynamic = parent != NULL && parent->inode->fs->is_dynamic;
    if (parent != NULL)
        name_get(parent);
    name->parent = parent;
    name->is_linked = false;
    name->mounted = NULL;
    *out = name;
    return 0;
}

/* A name that goes lets go of its parent, which may go, too: a loop, since trees may be deep. */
void name_put(struct name *name)
{
    while (name != NULL) {
        uint32_t before = fetch_sub_acq_rel(&name->refs, 1); /* PAIRS(name_ref): both ends, as its users come and go */

        ASSERT(before > 0);
        if (before > 1)
            return;
        ASSERT(!name->is_linked && name->mounted == NULL);
        struct name *parent = name->parent;

        inode_put(name->inode);
        kfree(name->text);
        slab_free(&name_cache, name);
        name = parent;
    }
}

/* ---- A directory ---- */

/* Below 0, 0, above: as the text is before, equal to, or behind that of the name. */
static int compare(uint32_t hash, const char *text, size_t bytes, const struct name *name)
{
    if (hash != name->hash)
        return hash < name->hash ? -1 : 1;
    if (bytes != name->text_bytes)
        return bytes < name->text_bytes ? -1 : 1;
    return memcmp(text, name->text, bytes);
}

struct name *name_find(struct inode *dir, const char *text, size_t bytes)
{
    struct rb_node *node = dir->dir.by_name.root;
    uint32_t hash = hash_of(text, bytes);

    while (node != NULL) {
        struct name *name = container_of(node, struct name, by_name);
        int order = compare(hash, text, bytes, name);

        if (order == 0)
            return name;
        node = order < 0 ? node->left : node->right;
    }
    return NULL;
}

static bool name_less(const struct rb_node *a, const struct rb_node *b)
{
    const struct name *left = container_of(a, struct name, by_name);

    return compare(left->hash, left->text, left->text_bytes, container_of(b, struct name, by_name)) < 0;
}

static bool position_less(const struct rb_node *a, const struct rb_node *b)
{
    return container_of(a, struct name, by_position)->position < container_of(b, struct name, by_position)->position;
}

static void insert(struct inode *dir, struct name *name)
{
    name->hash = hash_of(name->text, name->text_bytes);
    name->position = dir->dir.next_position++;
    rb_insert(&dir->dir.by_name, &name->by_name, name_less, NULL);
    rb_insert(&dir->dir.by_position, &name->by_position, position_less, NULL);
}

static void take_out(struct inode *dir, struct name *name)
{
    rb_remove(&dir->dir.by_name, &name->by_name, NULL);
    rb_remove(&dir->dir.by_position, &name->by_position, NULL);
}

void name_link(struct inode *dir, struct name *name)
{
    DEBUG_ASSERT(mutex_is_held(&dir->mutex) && !dir->dir.is_dead);
    name_get(name);
    spin_lock(&names_lock);
    name->is_linked = true;
    spin_unlock(&names_lock);
    insert(dir, name);
}

int name_unlink(struct inode *dir, struct name *name)
{
    DEBUG_ASSERT(mutex_is_held(&dir->mutex) && name->is_linked);
    spin_lock(&names_lock);
    bool is_busy = name->mounted != NULL;

    if (!is_busy)
        name->is_linked = false; /* from here on nothing is mounted there any more */
    spin_unlock(&names_lock);
    if (is_busy)
        return -EBUSY;
    take_out(dir, name);
    name_put(name);
    return 0;
}

bool name_dir_is_empty(const struct inode *dir)
{
    return rb_is_empty(&dir->dir.by_name);
}

struct name *name_at_position(const struct inode *dir, uint64_t position)
{
    struct rb_node *node = dir->dir.by_position.root;
    struct name *best = NULL;

    while (node != NULL) {
        struct name *name = container_of(node, struct name, by_position);

        if (name->position >= position)
            best = name;
        node = name->position >= position ? node->left : node->right;
    }
    return best;
}

char *name_move(struct name *name, struct name *to_parent, char *text, size_t bytes)
{
    struct name *from_parent = name->parent;
    char *old_text = name->text;

    take_out(from_parent->inode, name);
    name_get(to_parent);
    spin_lock(&names_lock);
    name->parent = to_parent;
    name->text = text;
    name->text_bytes = (uint16_t)bytes;
    spin_unlock(&names_lock);
    insert(to_parent->inode, name);
    name_put(from_parent);
    return old_text;
}

/* ---- Up and across ---- */

/* What stands for a name in the tree of all mounts: roots give way to what they cover. The lock is held. */
static struct name *uncover_locked(struct name *name)
{
    while (name->parent == NULL && name->inode->fs->covers != NULL)
        name = name->inode->fs->covers;
    return name;
}

struct name *name_up(struct name *name, const struct name *root)
{
    struct name *up = name;

    spin_lock(&names_lock);
    if (name != root) {
        up = uncover_locked(name);
        if (up->parent != NULL && up != root)
            up = up->parent;
    }
    name_get(up);
    spin_unlock(&names_lock);
    return up;
}

struct name *name_cross_mounts(struct name *name)
{
    for (;;) {
        struct name *root = NULL;

        spin_lock(&names_lock);
        bool is_leaving = name->mounted != NULL && name->mounted->is_leaving;

        if (name->mounted != NULL && !is_leaving) {
            root = name->mounted->root;
            name_get(root);
        }
        spin_unlock(&names_lock);
        if (UNLIKELY(is_leaving)) {
            filesystem_settle();
            continue;
        }
        if (root == NULL)
            return name;
        name_put(name);
        name = root;
    }
}

struct name *name_parent(struct name *name)
{
    spin_lock(&names_lock);
    struct name *parent = name->parent;

    if (parent != NULL)
        name_get(parent);
    spin_unlock(&names_lock);
    return parent;
}

bool name_is_below(struct name *name, const struct name *above)
{
    spin_lock(&names_lock);
    while (name != NULL && name != above)
        name = name->parent;
    spin_unlock(&names_lock);
    return name != NULL;
}

/* Put a string in front of what is there; false: no room. */
static bool prepend(char *to, size_t *at, const char *text, size_t bytes)
{
    if (bytes > *at)
        return false;
    *at -= bytes;
    memcpy(to + *at, text, bytes);
    return true;
}

/* The path, at the end of the buffer; *at is where it begins. The lock is held. */
static int build_path_locked(struct name *name, struct name *root, bool shows_deleted, char *to, size_t *at)
{
    bool is_gone = !name->is_linked && name->parent != NULL && !name->is_dynamic;
    bool fits = prepend(to, at, "", 1) && (!is_gone || prepend(to, at, " (deleted)", 10));
    bool has_component = false;

    if (is_gone && !shows_deleted)
        return -ENOENT;
    while (fits && name != root) {
        name = uncover_locked(name);
        if (name == root || name->parent == NULL)
            break;
        fits = prepend(to, at, name->text, name->text_bytes) && prepend(to, at, "/", 1);
        has_component = true;
        name = name->parent;
    }
    if (fits && !has_component)
        fits = prepend(to, at, "/", 1);
    /* A root that was reached by way of what it covers is the same place. */
    if (fits && name != root && uncover_locked(root) != name && !name->inode->fs->is_internal)
        fits = prepend(to, at, "(unreachable)", 13);
    return fits ? 0 : -ERANGE;
}

int64_t name_path(struct name *name, struct name *root, bool shows_deleted, char *to, size_t room)
{
    size_t at = room;

    spin_lock(&names_lock);
    int error = build_path_locked(name, root, shows_deleted, to, &at);

    spin_unlock(&names_lock);
    if (error != 0)
        return error;
    memmove(to, to + at, room - at);
    return (int64_t)(room - at) - 1;
}

/* ---- File systems as a whole ---- */

int name_mount(struct name *at, struct filesystem *fs)
{
    int error = -EBUSY;

    name_get(at);
    spin_lock(&names_lock);
    /* Not the first root either: paths begin there. */
    bool is_fixed = at->parent == NULL ? at->inode->fs->covers == NULL : !at->is_linked && !at->is_dynamic;

    if (at->mounted == NULL && !is_fixed) {
        at->mounted = fs;
        fs->covers = at;
        error = 0;
    }
    spin_unlock(&names_lock);
    if (error != 0)
        name_put(at);
    return error;
}

void name_unmount(struct filesystem *fs)
{
    spin_lock(&names_lock);
    struct name *at = fs->covers;

    ASSERT(at != NULL && at->mounted == fs);
    at->mounted = NULL;
    fs->covers = NULL;
    spin_unlock(&names_lock);
    name_put(at);
}

void name_set_leaving(struct filesystem *fs, bool is_leaving)
{
    spin_lock(&names_lock);
    fs->is_leaving = is_leaving;
    spin_unlock(&names_lock);
}
