/* SPDX-License-Identifier: MIT */
/* The part of <string.h> that a freestanding compiler may call, and bounded copies. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
void *memchr(const void *bytes, int value, size_t count);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t max);
char *strchr(const char *s, int c);
char *strstr(const char *text, const char *word);

/* Copy with truncation; always terminated if room > 0. Returns true if all of it fitted. */
bool str_copy(char *to, const char *from, size_t room);
