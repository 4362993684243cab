# SPDX-License-Identifier: MIT
"""Seeded defects: files, names, descriptors and pipes."""

from .kinds import Defect, edit

FILES = (
    Defect(
        "pipe-writer-forgotten",
        "A reader wakes writers only if the pipe was full to the last byte, but some need more room than one.",
        ("liveness",),
        edit("core/fs/pipe.c", "    return pipe->capacity - used < PIPE_BUF_BYTES;",
             "    return pipe->capacity == used;"),
        scenarios=("pipe-stream",)),
    Defect(
        "pipe-bytes-outside-of-lock",
        "A writer counts its bytes after it has let go of the pipe.",
        ("story", "liveness", "sanity", "memory"),
        edit("core/fs/pipe.c", """
        done = fill(pipe, from, MIN(room, from->left), out_error);
        store_relaxed(&pipe->used, used + done);
    }
    mutex_unlock(&pipe->mutex);
""", """
        done = fill(pipe, from, MIN(room, from->left), out_error);
    }
    mutex_unlock(&pipe->mutex);
    store_relaxed(&pipe->used, used + done);
"""),
        scenarios=("pipe-stream",)),
    Defect(
        "pipe-page-bytes-outside-of-lock",
        "The same where all of it goes into one page.",
        ("story", "liveness", "sanity", "memory"),
        edit("core/fs/pipe.c", """
    store_relaxed(&pipe->used, used + done);
    mutex_unlock(&pipe->mutex);
    if (used == 0 && done > 0)
        poll_wake(&pipe->can_read);
}
""", """
    mutex_unlock(&pipe->mutex);
    store_relaxed(&pipe->used, used + done);
    if (used == 0 && done > 0)
        poll_wake(&pipe->can_read);
}
"""),
        scenarios=("pipe-stream",)),
    Defect(
        "poll-enters-late",
        "A poller enters itself after it has looked.",
        ("liveness",),
        edit("core/fs/poll.c", """
    int ready = look(items, count, wait);

    if (ready > 0)
        return ready;
    wait->enters = false;
""", """
    wait->enters = false;
    int ready = look(items, count, wait);

    if (ready > 0)
        return ready;
    wait->enters = true;
    for (unsigned i = 0; i < count; i++)
        if (items[i].file != NULL)
            (void)file_poll(items[i].file, wait);
    wait->enters = false;
"""),
        scenarios=("pipe-poll",)),
    Defect(
        "epoll-looks-before-it-takes",
        "A wait looks at a file while its watch is listed still, and takes it out then: a change in between is lost.",
        ("liveness",),
        edit("core/fs/epoll.c", """
        struct watch *watch = take_listed(epoll);
        uint32_t events = watch == NULL ? 0 : events_of(watch);
""", """
        struct list_node *first = listed_count(epoll) == 0 ? NULL : epoll->listed.next;
        uint32_t events = first == NULL ? 0 : events_of(list_entry(first, struct watch, link));
        struct watch *watch = take_listed(epoll);

        if (first != NULL && watch != list_entry(first, struct watch, link))
            told(&list_entry(first, struct watch, link)->wait);
"""),
        scenarios=("epoll-edges",)),
    Defect(
        "epoll-enters-late",
        "A watch is entered at the file's queues after its state was looked at.",
        ("liveness",),
        edit("core/fs/epoll.c", """
    if ((file_poll(file, &watch->wait) & watch->events & ~PRIVATE) != 0)
        list_and_tell(watch);
""", """
    if ((file_poll(file, NULL) & watch->events & ~PRIVATE) != 0)
        list_and_tell(watch);
    (void)file_poll(file, &watch->wait);
"""),
        scenarios=("epoll-edges",)),
    Defect(
        "epoll-lists-and-is-silent",
        "A change lists the watch, and only a poller of the epoll is told of it.",
        ("liveness",),
        edit("core/fs/epoll.c", """
    list_locked(watch);
    poll_wake_locked(&watch->epoll->queue);
""", """
    if (list_is_empty(&watch->epoll->listed) && !list_is_empty(&watch->epoll->queue.pollers))
        poll_wake_locked(&watch->epoll->queue);
    list_locked(watch);
"""),
        scenarios=("epoll-edges",)),
    Defect(
        "epoll-puts-back-in-silence",
        "A wait puts back what is ready still without a wake: who saw the list without it sleeps on.",
        ("liveness",),
        edit("core/fs/epoll.c", """
    else if (error != 0 || (watch->events & EPOLL_EDGE) == 0)
        list_and_tell(watch);
""", """
    else if (error != 0 || (watch->events & EPOLL_EDGE) == 0) {
        uintptr_t state = spin_lock_irqsave(&watch->epoll->queue.wait.lock);

        list_locked(watch);
        spin_unlock_irqrestore(&watch->epoll->queue.wait.lock, state);
    }
"""),
        scenarios=("epoll-edges",)),
    Defect(
        "epoll-poll-puts-back-in-silence",
        "Who polls an epoll puts back what is ready without a wake: a wait that saw the list without it sleeps on.",
        ("liveness",),
        edit("core/fs/epoll.c", "    (void)waitq_wake_locked(queue, UINT32_MAX);\n", ""),
        scenarios=("epoll-edges",)),
    Defect(
        "epoll-poll-tells-itself",
        "Who polls an epoll puts back what is ready and tells all who poll it, itself included: it looks for ever.",
        ("liveness",),
        edit("core/fs/epoll.c", "    (void)waitq_wake_locked(queue, UINT32_MAX);\n",
             "    poll_wake_locked(&watch->epoll->queue);\n") +
        edit("core/fs/poll.c", """
        if (load_relaxed(&timer.is_over) || file_wait_is_interrupted())
            break;
""", ""),
        scenarios=("epoll-edges",)),
    Defect(
        "epoll-watch-of-an-ended-file",
        "A file that ends leaves its watches where they are.",
        ("locks", "memory", "sanity", "story", "liveness"),
        edit("core/fs/file.c", """
        epoll_file_ended(file);
""", """
        store_relaxed(&file->watches, NULL);
"""),
        scenarios=("epoll-edges",)),
    Defect(
        "rename-without-its-mutex",
        "Two renames between directories at a time: each finds that it makes no circle, both together make one.",
        ("locks", "conserved", "story", "liveness", "sanity"),
        edit("core/fs/rename.c", "    mutex_lock(&rename_mutex);\n", "") +
        edit("core/fs/rename.c", "    mutex_unlock(&rename_mutex);\n", "    (void)rename_mutex;\n"),
        scenarios=("names-move",)),
    Defect(
        "rename-locks-by-address",
        "Of two directories the one at the lower address is locked first, although it lies below the other.",
        ("locks", "liveness"),
        edit("core/fs/rename.c", "    bool a_first = name_is_below(b, a) || (!name_is_below(a, b) && ",
             "    bool a_first = ("),
        scenarios=("names-move",)),
    Defect(
        "removed-directory-not-dead",
        "A directory that was removed while somebody stood before it takes new names in.",
        ("conserved", "sanity", "story"),
        edit("core/fs/remove.c", "        inode->dir.is_dead = true;\n", "        ;\n"),
        scenarios=("names-move",)),
    Defect(
        "fd-reference-late",
        "A look-up in a shared table takes its reference after it has ended its glance.",
        ("sanity", "memory", "story"),
        edit("include/fs/fd.h", """
        if (LIKELY(file != NULL))
            (void)fetch_add_relaxed(&file->refs, 1); /* file_get(): the table's reference is there */
    }
    glance_end(cpu);
    hal_irq_enable();
""", """
    }
    glance_end(cpu);
    hal_irq_enable();
    if (LIKELY(file != NULL))
        (void)fetch_add_relaxed(&file->refs, 1);
"""),
        scenarios=("fd-share",)),
    Defect(
        "fd-glance-not-awaited",
        "Who closes a number of a shared table does not wait for those who look at it.",
        ("sanity", "memory", "story"),
        edit("core/fs/fd.c", """
    wait_for_glances(table);
    record_lock_closed(file, table);
""", """
    record_lock_closed(file, table);
"""),
        scenarios=("fd-share",)),
    Defect(
        "record-return-missed",
        "Who waits for a range counts what was given back after it has let go of the mutex, not while it looked.",
        ("liveness",),
        edit("core/fs/record_lock.c", """
        if (has_joined)
            error = waitq_wait_until(""", """
        seen = load_relaxed(&bucket->returns);
        if (has_joined)
            error = waitq_wait_until("""),
        scenarios=("record-locks",)),
    Defect(
        "record-circle-of-two",
        "A circle is looked for among two owners only.",
        ("liveness",),
        edit("core/fs/record_lock.c", "left = all.waiters + 1; left > 0", "left = 2; left > 0"),
        scenarios=("record-locks",)),
)
