/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What vmdk_header.c leaves in a directory for vmdk_sparse.c. */
#ifndef STORAGE_IMPORT_VMDK_SPARSE_PRIV_H
#define STORAGE_IMPORT_VMDK_SPARSE_PRIV_H

/* A directory's entry whose table cannot be had. */
#define VMDK_BAD_TABLE 0xffffffffu

#endif
