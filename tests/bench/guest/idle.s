# SPDX-License-Identifier: GPL-3.0-or-later
# Says "R" on the serial port as its very first act, then is idle: halted with
# interrupts on, none of which can come. No stack, no tables.
	.include "pvh.s"
	.text
	.code32
	.globl	start
start:
	mov	$0x3f8, %edx
	mov	$'R', %al
	out	%al, %dx
	# firmware may have left the timer and the chips on
	mov	$0xff, %al
	out	%al, $0x21
	out	%al, $0xa1
	sti
1:	hlt
	jmp	1b
