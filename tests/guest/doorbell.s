# Writes that KVM turns into eventfd signals, then one value that it must not.
	.code16
	mov	$0xa000, %ax
	mov	%ax, %ds
	movw	$1, 0x10
	movl	$7, 0x20
	movl	$8, 0x20
	mov	$0xfc, %dx
	mov	$5, %al
	out	%al, %dx
	out	%al, $0xf4
1:	hlt
	jmp	1b
