# Count in memory for ever; never exits by itself.
	.code16
	xor	%ax, %ax
	mov	%ax, %ds
	movl	$0, 0x7000
1:	incl	0x7000
	jmp	1b
