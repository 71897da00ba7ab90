# SPDX-License-Identifier: GPL-3.0-or-later
# The note that makes an ELF file a PVH kernel: XEN_ELFNOTE_PHYS32_ENTRY.
	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 4, 18
	.asciz	"Xen"
	.long	start
