/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The image tools; part of storage.h. */
#ifndef STORAGE_IMAGE_H
#define STORAGE_IMAGE_H

#endif
