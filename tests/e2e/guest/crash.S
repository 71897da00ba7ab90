/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest that waits for a byte on its serial line, then does what that says:
 * 't' triple fault, anything else: echo it. 32-bit flat, entered as PVH, told
 * apart in a dump by ebx.
 */
	.section .note.pvh, "a", @note
	.long 4, 4, 18
	.ascii "Xen\0"
	.long _start

	.text
	.globl _start
_start:
	mov	$hello, %esi
1:	lodsb
	test	%al, %al
	jz	2f
	call	send
	jmp	1b
2:	mov	$0x3fd, %edx		/* line status: data ready? */
	in	%dx, %al
	test	$1, %al
	jz	2b
	mov	$0x3f8, %edx
	in	%dx, %al
	cmp	$'t', %al
	je	die
	call	send
	jmp	2b

send:	mov	%al, %ah
3:	mov	$0x3fd, %edx
	in	%dx, %al
	test	$0x20, %al
	jz	3b
	mov	$0x3f8, %edx
	mov	%ah, %al
	out	%al, %dx
	ret

die:	lidt	nothing
	mov	$0xfeedbeef, %ebx
	ud2

nothing:
	.short	0
	.long	0
hello:	.asciz "GD-READY\r\n"
