/* SPDX-License-Identifier: MIT */
/* Pairs of connected sockets: socketpair(2), and what can be done with those. No state. */
#include <syscall/table.h>

#include <fs/fd.h>
#include <fs/socket.h>
#include <k/errno.h>
#include <mm/user.h>

#include "syscall_priv.h"

#define TYPE_MASK 0xfu /* of a socket's type; above it O_CLOEXEC and O_NONBLOCK */
#define PIECES_INLINE 8u
#define MESSAGE_FLAGS (MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT | MSG_NOSIGNAL)

#define SOL_SOCKET 1
#define SO_TYPE 3
#define SO_ERROR 4
#define SO_ACCEPTCONN 30
#define SO_PROTOCOL 38
#define SO_DOMAIN 39

/* struct msghdr */
struct message {
    uint64_t name;
    uint32_t name_bytes, pad;
    uint64_t pieces, piece_count, control, control_bytes;
    uint32_t flags, pad_end;
};

SYSCALL(socketpair)
{
    uint32_t family = (uint32_t)args->arg[0], type = (uint32_t)args->arg[1], protocol = (uint32_t)args->arg[2];
    struct file *file[2];

    if ((type & ~(TYPE_MASK | O_CLOEXEC | O_NONBLOCK)) != 0)
        return -EINVAL;
    if (family != AF_UNIX)
        return -EAFNOSUPPORT;
    if (protocol != 0 && protocol != AF_UNIX)
        return -EPROTONOSUPPORT;
    if ((type & TYPE_MASK) != SOCK_STREAM)
        return -ESOCKTNOSUPPORT;
    int error = socket_create_pair(type & O_NONBLOCK, file);

    return error != 0 ? error : install_pair(file, (type & O_CLOEXEC) != 0, args->arg[3]);
}

/* A descriptor of a socket, to be returned if the result is 0. */
static int borrow(uint64_t number, struct fd_borrowed *out)
{
    *out = fd_borrow(own_files(), (unsigned)number);
    if (out->file == NULL)
        return -EBADF;
    if (file_is_socket(out->file))
        return 0;
    fd_return(*out);
    return -ENOTSOCK;
}

static int64_t after_send(int64_t result, uint32_t flags)
{
    return (flags & MSG_NOSIGNAL) != 0 ? after_wait(result) : after_write(result);
}

/* ---- One piece ---- */

SYSCALL(sendto)
{
    uint32_t flags = (uint32_t)args->arg[3];
    struct fd_borrowed fd;
    struct io_span span;
    int64_t result = borrow(args->arg[0], &fd);

    if (result != 0)
        return result;
    io_span_user(&span, args->arg[1], args->arg[2]);
    if ((flags & ~MESSAGE_FLAGS) != 0)
        result = -EOPNOTSUPP;
    else if (args->arg[4] != 0 && (uint32_t)args->arg[5] != 0)
        result = -EISCONN;
    else
        result = socket_send(fd.file, &span, flags);
    fd_return(fd);
    return after_send(result, flags);
}

SYSCALL(recvfrom)
{
    const uint32_t no_bytes = 0;
    uint32_t flags = (uint32_t)args->arg[3];
    struct fd_borrowed fd;
    struct io_span span;
    int64_t result = borrow(args->arg[0], &fd);

    if (result != 0)
        return result;
    io_span_user(&span, args->arg[1], args->arg[2]);
    result = (flags & ~MESSAGE_FLAGS) != 0 ? -EOPNOTSUPP : socket_receive(fd.file, &span, flags);
    fd_return(fd);
    /* Whoever sends has no address. */
    if (result >= 0 && args->arg[4] != 0 && user_copy_out(args->arg[5], &no_bytes, sizeof no_bytes) != 0)
        result = -EFAULT;
    return after_wait(result);
}

/* ---- Several ---- */

static int64_t send_message(struct file *file, const struct message *message, uint32_t flags)
{
    struct io_piece inline_pieces[PIECES_INLINE], *pieces;
    struct io_span span;

    if (message->name != 0 && message->name_bytes != 0)
        return -EISCONN;
    if (message->control != 0 && message->control_bytes != 0)
        return -EOPNOTSUPP; /* descriptors and credentials are not sent */
    int64_t result = pieces_copy_in(message->pieces, message->piece_count, inline_pieces, PIECES_INLINE, &pieces,
                                    &span);

    if (result != 0)
        return result;
    result = socket_send(file, &span, flags);
    pieces_free(pieces, inline_pieces);
    return result;
}

SYSCALL(sendmsg)
{
    uint32_t flags = (uint32_t)args->arg[2];
    struct message message;
    struct fd_borrowed fd;
    int64_t result = borrow(args->arg[0], &fd);

    if (result != 0)
        return result;
    result = user_copy_in(&message, args->arg[1], sizeof message);
    if (result == 0)
        result = (flags & ~MESSAGE_FLAGS) != 0 ? -EOPNOTSUPP : send_message(fd.file, &message, flags);
    fd_return(fd);
    return after_send(result, flags);
}

static int64_t receive_message(struct file *file, vaddr_t at, uint32_t flags)
{
    struct io_piece inline_pieces[PIECES_INLINE], *pieces;
    struct message message;
    struct io_span span;
    int64_t result = user_copy_in(&message, at, sizeof message);

    if (result == 0)
        result = pieces_copy_in(message.pieces, message.piece_count, inline_pieces, PIECES_INLINE, &pieces, &span);
    if (result != 0)
        return result;
    result = socket_receive(file, &span, flags);
    pieces_free(pieces, inline_pieces);
    if (result < 0)
        return result;
    if (message.name != 0)
        message.name_bytes = 0;
    message.control_bytes = 0;
    message.flags = 0;
    return user_copy_out(at, &message, sizeof message) != 0 ? -EFAULT : result;
}

SYSCALL(recvmsg)
{
    uint32_t flags = (uint32_t)args->arg[2];
    struct fd_borrowed fd;
    int64_t result = borrow(args->arg[0], &fd);

    if (result != 0)
        return result;
    result = (flags & ~(MESSAGE_FLAGS | 0x40000000u)) != 0 /* MSG_CMSG_CLOEXEC: nothing comes that it is for */
                 ? -EOPNOTSUPP
                 : receive_message(fd.file, args->arg[1], flags);
    fd_return(fd);
    return after_wait(result);
}

/* ---- Settings ---- */

SYSCALL(shutdown)
{
    struct fd_borrowed fd;
    int64_t result = borrow(args->arg[0], &fd);

    if (result != 0)
        return result;
    result = socket_shutdown(fd.file, (int)args->arg[1]);
    fd_return(fd);
    return result;
}

static int option(int name, int *out)
{
    switch (name) {
    case SO_TYPE:
        *out = SOCK_STREAM;
        return 0;
    case SO_DOMAIN:
        *out = AF_UNIX;
        return 0;
    case SO_ERROR: /* nothing fails behind anybody's back */
    case SO_ACCEPTCONN:
    case SO_PROTOCOL:
        *out = 0;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

SYSCALL(getsockopt)
{
    struct fd_borrowed fd;
    int value = 0, bytes;
    int64_t result = borrow(args->arg[0], &fd);

    if (result != 0)
        return result;
    fd_return(fd);
    if ((int)args->arg[1] != SOL_SOCKET)
        return -EOPNOTSUPP;
    result = user_copy_in(&bytes, args->arg[4], sizeof bytes);
    if (result == 0 && bytes < 0)
        result = -EINVAL;
    if (result == 0)
        result = option((int)args->arg[2], &value);
    if (result != 0)
        return result;
    bytes = MIN(bytes, (int)sizeof value);
    result = user_copy_out(args->arg[3], &value, (size_t)bytes);
    return result != 0 ? result : user_copy_out(args->arg[4], &bytes, sizeof bytes);
}

/* An address of a family and nothing more: it has no name. */
static int64_t address_out(uint64_t number, vaddr_t to, vaddr_t bytes_at)
{
    const uint16_t family = AF_UNIX;
    struct fd_borrowed fd;
    int room, bytes = sizeof family;
    int64_t result = borrow(number, &fd);

    if (result != 0)
        return result;
    fd_return(fd);
    result = user_copy_in(&room, bytes_at, sizeof room);
    if (result == 0 && room < 0)
        result = -EINVAL;
    if (result == 0)
        result = user_copy_out(to, &family, (size_t)MIN(room, bytes));
    return result != 0 ? result : user_copy_out(bytes_at, &bytes, sizeof bytes);
}

SYSCALL(getsockname)
{
    return address_out(args->arg[0], args->arg[1], args->arg[2]);
}

SYSCALL(getpeername)
{
    return address_out(args->arg[0], args->arg[1], args->arg[2]);
}
