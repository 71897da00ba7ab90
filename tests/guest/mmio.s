# MMIO at 0xa0000: writes and reads of each size, one across two regions.
	.code16
	mov	$0xa000, %ax
	mov	%ax, %ds
	movb	$0x11, 0
	movw	$0x2222, 2
	movl	$0x33333333, 4
	xor	%eax, %eax
	mov	0, %al
	call	9f
	mov	2, %ax
	call	9f
	mov	4, %eax
	call	9f
	# the first region ends at 0x1000, the second begins there
	movl	$0xddccbbaa, 0xffe
	mov	0xffe, %eax
	call	9f
	out	%al, $0xf4
1:	hlt
	jmp	1b
9:	mov	$0xf0, %dx
	out	%eax, %dx
	ret
