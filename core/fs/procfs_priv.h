/* SPDX-License-Identifier: MIT */
/* What procfs's files share. */
#pragma once

#include <fs/procfs.h>

#include <fs/inode.h>

enum node_kind { NODE_SYSTEM, NODE_PROCESS, NODE_TASKS, NODE_FD_DIR, NODE_FDINFO_DIR, NODE_FILE, NODE_FD, NODE_FDINFO };

/* What an inode of procfs is, in its `data`. Immutable. */
struct node {
    enum node_kind kind;
    struct filesystem *fs;          /* NULL: procfs */
    bool is_thread;                 /* in "task": only of its process */
    const char *path;               /* NODE_SYSTEM, NODE_PROCESS: what the names of files in this folder begin with: */
    size_t path_bytes;              /* so many bytes, a '/' the last one; 0 at the top */
    const struct procfs_file *file; /* NODE_FILE */
    void *process;                  /* counted; NULL: the system's */
    int number;                     /* of the process or thread, or the descriptor */
};

/* The open file of a number in the node's process, counted, or NULL. Context: task. */
struct file *procfs_file_of(const struct node *node, int number);

/* NODE_FILE, NODE_FDINFO: printed here and now. Context: task, may sleep. */
int procfs_open_file(struct inode *inode, struct name *name, uint32_t flags, struct file **out) MUST_USE;
