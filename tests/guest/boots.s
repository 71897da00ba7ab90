# Say how many times this memory has been booted from.
	.code16
	xor	%ax, %ax
	mov	%ax, %ds
	incl	0x7000
	mov	0x7000, %eax
	mov	$0xf0, %dx
	out	%eax, %dx
	out	%al, $0xf4
	# registers that a reset must clear
	mov	$0x5a5a5a5a, %ebx
	mov	$0x7777, %si
1:	hlt
	jmp	1b
