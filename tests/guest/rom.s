# A read-only view at 0xa8000: read, write, read again.
	.code16
	mov	$0xa800, %ax
	mov	%ax, %ds
	mov	0x10, %eax
	call	9f
	movl	$0x55aa55aa, 0x10
	mov	0x10, %eax
	call	9f
	out	%al, $0xf4
1:	hlt
	jmp	1b
9:	mov	$0xf0, %dx
	out	%eax, %dx
	ret
