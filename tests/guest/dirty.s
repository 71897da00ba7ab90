# Write pages 0, 3 and 15 of a view at 0xb0000, say so; again after a go.
	.code16
	mov	$0xb000, %ax
	mov	%ax, %ds
	movb	$1, 0
	movb	$2, 0x3123
	movb	$3, 0xffff
	out	%al, $0xf4
	# parked here; resumed by the test
	movb	$4, 0x5000
	out	%al, $0xf4
1:	hlt
	jmp	1b
