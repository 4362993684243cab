/* SPDX-License-Identifier: MIT */
/*
 * core/fs/rename.c, and with it create.c, remove.c and walk.c: random operations beside a plain model of a tree; then
 * the same from several tasks at once, each file found exactly once at the end; and the rules of renameat2(2).
 */
#include "fs_test.h"

#include <k/atomic.h>
#include <lib/fmt.h>

/* ---- A model: nodes with a parent and one of a few texts ---- */

#define NODES 24
#define TEXTS 6

static struct node {
    bool is_there, is_dir;
    int parent; /* index; 0 is the root */
    unsigned text;
    uint64_t number;
} nodes[NODES];

static int child_of(int parent, unsigned text)
{
    for (int i = 1; i < NODES; i++)
        if (nodes[i].is_there && nodes[i].parent == parent && nodes[i].text == text)
            return i;
    return -1;
}

static bool has_children(int parent)
{
    for (unsigned text = 0; text < TEXTS; text++)
        if (child_of(parent, text) >= 0)
            return true;
    return false;
}

static bool is_below(int node, int above)
{
    while (node != above && node != 0)
        node = nodes[node].parent;
    return node == above;
}

static const char root_path[] = "/tree";

/* The path of `text` in a directory of the model. */
static void path_of(int dir, unsigned text, char out[256])
{
    char tail[256];

    (void)fmt_print(out, 256, "/%c", (int)('a' + text));
    for (; dir != 0; dir = nodes[dir].parent) {
        (void)str_copy(tail, out, sizeof tail);
        (void)fmt_print(out, 256, "/%c%s", (int)('a' + nodes[dir].text), tail);
    }
    (void)str_copy(tail, out, sizeof tail);
    (void)fmt_print(out, 256, "%s%s", root_path, tail);
}

static int some_dir(struct unit_random *random)
{
    int dirs[NODES], count = 0;

    for (int i = 0; i < NODES; i++)
        if (nodes[i].is_there && nodes[i].is_dir)
            dirs[count++] = i;
    return dirs[unit_random_below(random, (size_t)count)];
}

static void model_make(struct fs_user *user, struct unit_random *random)
{
    int dir = some_dir(random), slot = 1;
    unsigned text = (unsigned)unit_random_below(random, TEXTS);
    bool is_dir = unit_random_below(random, 2) == 0;
    char path[256];

    while (slot < NODES && nodes[slot].is_there)
        slot++;
    if (slot == NODES)
        return;
    path_of(dir, text, path);
    int expected = child_of(dir, text) >= 0 ? -EEXIST : 0;

    CHECK((is_dir ? path_mkdir(&user->place, path, 0755) : path_mknod(&user->place, path, 0644, 0)) == expected);
    if (expected == 0)
        nodes[slot] = (struct node){true, is_dir, dir, text, number_of(&user->place, path)};
}

static void model_remove(struct fs_user *user, struct unit_random *random)
{
    int dir = some_dir(random);
    unsigned text = (unsigned)unit_random_below(random, TEXTS);
    int node = child_of(dir, text), expected = 0;
    bool is_rmdir = unit_random_below(random, 2) == 0;
    char path[256];

    path_of(dir, text, path);
    if (node < 0)
        expected = -ENOENT;
    else if (nodes[node].is_dir != is_rmdir)
        expected = is_rmdir ? -ENOTDIR : -EISDIR;
    else if (is_rmdir && has_children(node))
        expected = -ENOTEMPTY;
    CHECK((is_rmdir ? path_rmdir(&user->place, path) : path_unlink(&user->place, path)) == expected);
    if (expected == 0)
        nodes[node].is_there = false;
}

static int rename_error(int source, int target, int to_dir, int from_dir, unsigned flags)
{
    if (source < 0)
        return -ENOENT;
    if (target >= 0 && flags == RENAME_NOREPLACE)
        return -EEXIST;
    if (target < 0 && flags == RENAME_EXCHANGE)
        return -ENOENT;
    if (is_below(to_dir, source))
        return -EINVAL;
    if (target >= 0 && is_below(from_dir, target))
        return flags == RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
    if (target < 0 || flags == RENAME_EXCHANGE || target == source)
        return 0;
    if (nodes[source].is_dir != nodes[target].is_dir)
        return nodes[source].is_dir ? -ENOTDIR : -EISDIR;
    return nodes[target].is_dir && has_children(target) ? -ENOTEMPTY : 0;
}

static void model_rename(struct fs_user *user, struct unit_random *random)
{
    static const unsigned some_flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    int from_dir = some_dir(random), to_dir = some_dir(random);
    unsigned from_text = (unsigned)unit_random_below(random, TEXTS);
    unsigned to_text = (unsigned)unit_random_below(random, TEXTS);
    unsigned flags = some_flags[unit_random_below(random, 4)];
    int source = child_of(from_dir, from_text), target = child_of(to_dir, to_text);
    int expected = rename_error(source, target, to_dir, from_dir, flags);
    char from[256], to[256];

    path_of(from_dir, from_text, from);
    path_of(to_dir, to_text, to);
    if (!CHECK(path_rename(&user->place, from, &user->place, to, flags) == expected))
        log_error("rename %s %s flags %u: not %d", from, to, flags, expected);
    if (expected != 0 || source == target)
        return;
    if (target >= 0 && flags == RENAME_EXCHANGE) {
        nodes[target].parent = from_dir;
        nodes[target].text = from_text;
    } else if (target >= 0) {
        nodes[target].is_there = false;
    }
    nodes[source].parent = to_dir;
    nodes[source].text = to_text;
}

/* Every node is where the model has it, and directories have as many links as the model says. */
static void compare(struct fs_user *user)
{
    char path[256], found[256];

    for (int i = 1; i < NODES; i++) {
        struct inode_stat stat;
        struct name *name, *root = fs_root();
        unsigned links = 2;

        if (nodes[i].is_there) {
            path_of(nodes[i].parent, nodes[i].text, path);
            CHECK(stat_of(&user->place, path, &stat) == 0 && stat.number == nodes[i].number);
            for (int j = 1; j < NODES; j++)
                links += nodes[j].is_there && nodes[j].is_dir && nodes[j].parent == i;
            CHECK(stat.links == (nodes[i].is_dir ? links : 1));
            CHECK(path_lookup(&user->place, path, 0, &name) == 0);
            CHECK(name_path(name, root, false, found, sizeof found) == (int64_t)strlen(path));
            CHECK(strcmp(found, path) == 0);
            name_put(name);
        }
        name_put(root);
    }
}

static void remove_all(struct fs_user *user)
{
    char path[256];
    bool is_done = false;

    while (!is_done) {
        is_done = true;
        for (int i = 1; i < NODES; i++)
            if (nodes[i].is_there && !has_children(i)) {
                path_of(nodes[i].parent, nodes[i].text, path);
                CHECK((nodes[i].is_dir ? path_rmdir(&user->place, path) : path_unlink(&user->place, path)) == 0);
                nodes[i].is_there = false;
                is_done = false;
            }
    }
    CHECK(path_rmdir(&user->place, root_path) == 0);
}

static void model(void)
{
    struct fs_user user = fs_user_create(0);
    struct unit_random random = {booted_seed()};

    memset(nodes, 0, sizeof nodes);
    nodes[0] = (struct node){true, true, 0, 0, 0};
    CHECK(path_mkdir(&user.place, root_path, 0755) == 0);
    for (unsigned i = 0; i < 300; i++) {
        size_t what = unit_random_below(&random, 7);

        if (what < 2)
            model_make(&user, &random);
        else if (what == 2)
            model_remove(&user, &random);
        else
            model_rename(&user, &random);
        if (i % 50 == 0)
            compare(&user);
    }
    compare(&user);
    remove_all(&user);
    fs_user_destroy(&user);
}

/* ---- Several tasks ---- */

#define DIRS 4
#define MOVERS 4

/* Directories that move into each other, and a file for each task that must never be lost or seen twice. */
static int move_about(void *arg)
{
    struct fs_user user = fs_user_create(0);
    struct unit_random random = {booted_seed() * 8 + (uintptr_t)arg};
    char from[64], to[64];

    for (unsigned i = 0; i < 40; i++) {
        (void)fmt_print(from, sizeof from, "/tree/%c%s%c", (int)('a' + unit_random_below(&random, DIRS)),
                        unit_random_below(&random, 2) == 0 ? "/" : "/../",
                        (int)('a' + unit_random_below(&random, DIRS)));
        (void)fmt_print(to, sizeof to, "/tree/%c/%c", (int)('a' + unit_random_below(&random, DIRS)),
                        (int)('a' + unit_random_below(&random, DIRS)));
        (void)path_rename(&user.place, from, &user.place, to,
                          unit_random_below(&random, 3) == 0 ? RENAME_EXCHANGE : RENAME_NOREPLACE);
    }
    fs_user_destroy(&user);
    return 0;
}

static unsigned visited;

/* Visit all below a directory, and remove it: what is in a circle, or lost, is not counted. */
static void take_apart(struct fs_user *user, const char *path)
{
    char stack[16][128];
    unsigned depth = 1;

    (void)str_copy(stack[0], path, sizeof stack[0]);
    while (depth > 0) {
        char child[128];
        bool has_child = false;

        for (char c = 'a'; c < 'a' + DIRS + MOVERS && !has_child; c++) {
            (void)fmt_print(child, sizeof child, "%s/%c", stack[depth - 1], c);
            has_child = number_of(&user->place, child) != 0;
        }
        if (has_child && CHECK(depth < 16)) {
            (void)str_copy(stack[depth++], child, sizeof child);
            continue;
        }
        depth--;
        visited++;
        CHECK(path_rmdir(&user->place, stack[depth]) == 0);
    }
}

static void together(void)
{
    struct fs_user user = fs_user_create(0);
    struct task *task[MOVERS];
    char path[32];

    visited = 0;
    CHECK(path_mkdir(&user.place, "/tree", 0755) == 0);
    for (int i = 0; i < DIRS; i++)
        for (int j = -1; j < 2; j++) {
            (void)fmt_print(path, sizeof path, j < 0 ? "/tree/%c" : "/tree/%c/%c", (int)('a' + i), (int)('a' + j));
            CHECK(path_mkdir(&user.place, path, 0755) == 0);
        }
    for (uintptr_t i = 0; i < MOVERS; i++)
        task[i] = spawn("mover", move_about, (void *)i, 60, NULL);
    for (unsigned i = 0; i < MOVERS; i++)
        CHECK(finish(task[i]) == 0);
    take_apart(&user, "/tree");
    CHECK(visited == 1 + DIRS * 3);
    fs_user_destroy(&user);
}

/* ---- Rules ---- */

static void rules(void)
{
    struct fs_user user = fs_user_create(0), other = fs_user_create(7), third = fs_user_create(8);
    struct path_place *place = &user.place;

    CHECK(path_mkdir(place, "/d", 01777) == 0 && make_file(&other.place, "/d/mine", "1") == 0);
    CHECK(path_rename(&third.place, "/d/mine", &third.place, "/d/yours", 0) == -EPERM); /* sticky */
    CHECK(path_rename(&other.place, "/d/mine", &other.place, "/d/yours", 0) == 0);
    CHECK(path_rename(&other.place, "/d/yours", &other.place, "/yours", 0) == -EACCES);
    CHECK(path_link(place, "/d/yours", place, "/d/link", 0) == 0);
    CHECK(path_rename(place, "/d/yours", place, "/d/link", 0) == 0 && holds(place, "/d/yours", "1"));
    CHECK(path_rename(place, "/d/yours", place, "/d/link/", 0) == -ENOTDIR);
    CHECK(path_rename(place, "/d", place, "/d/sub", 0) == -EINVAL);
    CHECK(path_rename(place, "/d/.", place, "/e", 0) == -EBUSY && path_rename(place, "/", place, "/e", 0) == -EBUSY);
    CHECK(path_rename(place, "/d/yours", place, "/dev-none/x", 0) == -ENOENT);
    CHECK(path_mkdir(place, "/m", 0755) == 0 && path_mount(place, "tmpfs", "/m", NULL, 0) == 0);
    CHECK(path_rename(place, "/d/yours", place, "/m/x", 0) == -EXDEV);
    CHECK(path_mkdir(place, "/n", 0755) == 0 && path_rename(place, "/n", place, "/m", 0) == -EBUSY);
    CHECK(path_unlink(place, "/d/yours") == 0 && path_unlink(place, "/d/link") == 0);
    CHECK(path_rmdir(place, "/d") == 0 && path_rmdir(place, "/n") == 0);
    fs_user_destroy(&user);
    fs_user_destroy(&other);
    fs_user_destroy(&third);
}

static void rules_and_mount(void)
{
    rules();
    fs_test_unmount("/m");
}

static uint64_t number_a, number_b;

static int try_rename(void *arg)
{
    struct fs_user *user = arg;
    int error = path_rename(&user->place, "/a", &user->place, "/b", RENAME_EXCHANGE);

    CHECK(number_of(&user->place, "/a") == (error != 0 ? number_a : number_b));
    CHECK(number_of(&user->place, "/b") == (error != 0 ? number_b : number_a));
    return error;
}

static void memory(void)
{
    struct fs_user user = fs_user_create(0);

    CHECK(make_file(&user.place, "/a", "a") == 0 && make_file(&user.place, "/b", "b") == 0);
    number_a = number_of(&user.place, "/a");
    number_b = number_of(&user.place, "/b");
    fail_each(try_rename, &user);
    CHECK(path_unlink(&user.place, "/a") == 0 && path_unlink(&user.place, "/b") == 0);
    fs_user_destroy(&user);
}

const struct kernel_test booted_tests[] = {
    {"model", model}, {"together", together}, {"rules", rules_and_mount}, {"memory", memory}, {NULL, NULL},
};

BOOTED(random_operations_agree_with_a_plain_tree, "model", 60)
BOOTED(tasks_that_move_directories_lose_none, "together", 100)
BOOTED(renames_are_refused_as_the_manual_says, "rules", 2)
BOOTED(without_memory_nothing_is_renamed, "memory", 2)

FS_TEST_MAIN(cmocka_unit_test(random_operations_agree_with_a_plain_tree),
             cmocka_unit_test(tasks_that_move_directories_lose_none),
             cmocka_unit_test(renames_are_refused_as_the_manual_says),
             cmocka_unit_test(without_memory_nothing_is_renamed))
