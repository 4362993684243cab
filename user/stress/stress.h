/* SPDX-License-Identifier: MIT */
/* What the files of the program share. */
#pragma once

int hog(const char *kind, const char *path);
int run_all(unsigned rounds, unsigned workers);
