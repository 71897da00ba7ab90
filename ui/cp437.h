/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The PC's character set in Unicode, and keys of a US keyboard. */
#ifndef UI_CP437_H
#define UI_CP437_H

#include <stddef.h>
#include <stdint.h>

#include "ui/keys.h"

/* 0 and 255 are blanks. */
uint32_t cp437_to_unicode(uint8_t c);

/*
 * Name of a key for display_sendkey(), e.g. "shift-a" or "ctrl-alt-f1", into
 * buf; NULL when a US keyboard has no such key.
 */
char *cp437_key_name(const struct key *k, char *buf, size_t len);

#endif
