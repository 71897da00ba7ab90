/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a process that runs guests wants of its own environment. */
#ifndef UI_PROCESS_H
#define UI_PROCESS_H

/* Before threads: signals, descriptors. */
void process_for_guests(void);

#endif
